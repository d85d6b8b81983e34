//! Rotary positions and causal attention inside documents, both ways.
//!
//! Queries, keys and values come as one matrix, a row a token. Documents lie one after another; a token sees its own
//! document up to itself, and positions start at zero in each. Documents are worked on in parallel, each into its own
//! rows of the result, so nothing is summed across threads. Probabilities are computed again on the way back rather
//! than kept: a document's are small, and there are many.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::access::{matrix, read, values};
use super::vector::{add_scaled, dot, softmax};

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub key_value_heads: usize,
    /// Channels of a head; even.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Columns of queries, keys and values together.
    pub fn columns(&self) -> usize {
        (self.heads + 2 * self.key_value_heads) * self.head_dim
    }

    /// Columns of the result.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// Sines and cosines of rotary positions in the rotate-half layout (arXiv 2104.09864, as Hugging Face's Llama has
/// it): channel i turns together with channel i + `head_dim` / 2.
#[derive(Debug)]
pub struct Rotary {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotary {
    /// Tables for positions below `length`.
    pub fn new(head_dim: usize, length: usize, base: f32) -> Self {
        let half = head_dim / 2;
        let angles = (0..length).flat_map(|position| {
            (0..half).map(move |i| {
                let exponent = -2.0 * i as f64 / head_dim as f64;
                position as f64 * f64::from(base).powf(exponent)
            })
        });
        let (cosines, sines) = angles
            .map(|angle| (angle.cos() as f32, angle.sin() as f32))
            .unzip();
        Self {
            half,
            cosines,
            sines,
        }
    }

    fn length(&self) -> usize {
        self.cosines.len() / self.half.max(1)
    }

    /// Turns the channels of one head by `position`, or back.
    fn turn(&self, channels: &mut [f32], position: usize, back: bool) {
        let cosines = &self.cosines[position * self.half..][..self.half];
        let sines = &self.sines[position * self.half..][..self.half];
        let (low, high) = channels.split_at_mut(self.half);
        for ((low, high), (cosine, sine)) in low.iter_mut().zip(high).zip(cosines.iter().zip(sines))
        {
            let sine = if back { -sine } else { *sine };
            (*low, *high) = (*low * cosine - *high * sine, *high * cosine + *low * sine);
        }
    }
}

/// Attention over one packing of documents.
#[derive(Clone, Debug)]
pub struct Attention {
    shape: AttentionShape,
    rotary: Arc<Rotary>,
    /// First row of each document, and the number of rows.
    offsets: Arc<[usize]>,
}

impl Attention {
    /// `offsets` holds the first row of each document in ascending order, from 0, and at its end the number of rows.
    pub fn new(shape: AttentionShape, rotary: Arc<Rotary>, offsets: Arc<[usize]>) -> Result<Self> {
        let longest = offsets
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .max();
        if offsets.first() != Some(&0) || !offsets.is_sorted() {
            bail!("attention: offsets should ascend from 0");
        }
        if shape.key_value_heads == 0 || !shape.heads.is_multiple_of(shape.key_value_heads) {
            bail!(
                "attention: {} heads over {} of keys",
                shape.heads,
                shape.key_value_heads
            );
        }
        if rotary.half * 2 != shape.head_dim
            || longest.is_some_and(|longest| longest > rotary.length())
        {
            bail!("attention: rotary tables are for shorter documents or other heads");
        }
        Ok(Self {
            shape,
            rotary,
            offsets,
        })
    }

    /// `[tokens, queries | keys | values]` to `[tokens, query width]`.
    pub fn forward(&self, queries_keys_values: &Tensor) -> Result<Tensor> {
        queries_keys_values.contiguous()?.apply_op1(self.clone())
    }

    /// Cuts a buffer of rows of `width` numbers into documents.
    fn documents<'a>(
        &self,
        mut buffer: &'a mut [f32],
        width: usize,
    ) -> Vec<(usize, &'a mut [f32])> {
        let mut documents = Vec::with_capacity(self.offsets.len());
        for pair in self.offsets.windows(2) {
            let (document, rest) = buffer.split_at_mut((pair[1] - pair[0]) * width);
            documents.push((pair[0], document));
            buffer = rest;
        }
        documents
    }

    fn scale(&self) -> f32 {
        1.0 / (self.shape.head_dim as f32).sqrt()
    }

    /// One document forward: `input` are its rows of queries, keys and values.
    fn document_forward(&self, input: &[f32], out: &mut [f32]) {
        let AttentionShape {
            heads,
            key_value_heads,
            head_dim,
        } = self.shape;
        let width = self.shape.query_width();
        let tokens = out.len() / width;
        let mut scores = vec![0.0; tokens];
        for key_head in 0..key_value_heads {
            let keys = Keys::new(self, input, key_head, tokens);
            let group = heads / key_value_heads;
            for head in key_head * group..(key_head + 1) * group {
                let mut queries = self.head(input, head, tokens);
                self.turn_all(&mut queries, false);
                for (token, query) in queries.chunks(head_dim).enumerate() {
                    let scores = &mut scores[..=token];
                    keys.probabilities(query, self.scale(), scores);
                    let out = &mut out[token * width + head * head_dim..][..head_dim];
                    for (value, probability) in keys.value_rows.chunks(head_dim).zip(scores) {
                        add_scaled(out, *probability, value);
                    }
                }
            }
        }
    }

    /// One document backward: `dinput`, zero so far, becomes the gradient of `input`.
    fn document_backward(&self, input: &[f32], dout: &[f32], dinput: &mut [f32]) {
        let AttentionShape {
            heads,
            key_value_heads,
            head_dim,
        } = self.shape;
        let tokens = dout.len() / self.shape.query_width();
        let group = heads / key_value_heads;
        for key_head in 0..key_value_heads {
            let keys = Keys::new(self, input, key_head, tokens);
            let mut dkeys = vec![0.0; tokens * head_dim];
            let mut dvalues = vec![0.0; tokens * head_dim];
            for head in key_head * group..(key_head + 1) * group {
                let mut dqueries =
                    self.head_backward(input, dout, &keys, head, &mut dkeys, &mut dvalues);
                self.turn_all(&mut dqueries, true);
                self.put(dinput, head, &dqueries);
            }
            self.turn_all(&mut dkeys, true);
            self.put(dinput, heads + key_head, &dkeys);
            self.put(dinput, heads + key_value_heads + key_head, &dvalues);
        }
    }

    /// One query head backward: adds to the gradients of its keys and values, returns that of its queries (turned).
    ///
    /// With probabilities P and dP = dout V^T: `dscores = P * (dP - sum(P * dP))`.
    fn head_backward(
        &self,
        input: &[f32],
        dout: &[f32],
        keys: &Keys,
        head: usize,
        dkeys: &mut [f32],
        dvalues: &mut [f32],
    ) -> Vec<f32> {
        let head_dim = self.shape.head_dim;
        let width = self.shape.query_width();
        let tokens = dout.len() / width;
        let mut queries = self.head(input, head, tokens);
        self.turn_all(&mut queries, false);
        let mut dqueries = vec![0.0; queries.len()];
        let (mut probabilities, mut dscores) = (vec![0.0; tokens], vec![0.0; tokens]);
        for (token, query) in queries.chunks(head_dim).enumerate() {
            let probabilities = &mut probabilities[..=token];
            let dscores = &mut dscores[..=token];
            keys.probabilities(query, self.scale(), probabilities);
            let dout = &dout[token * width + head * head_dim..][..head_dim];
            across(dout, &keys.value_columns, keys.tokens, dscores);
            let mean = dot(probabilities, dscores);
            for (dscore, probability) in dscores.iter_mut().zip(&*probabilities) {
                *dscore = probability * (*dscore - mean) * self.scale();
            }
            let dquery = &mut dqueries[token * head_dim..][..head_dim];
            for (seen, (&dscore, &probability)) in dscores.iter().zip(&*probabilities).enumerate() {
                let place = seen * head_dim..(seen + 1) * head_dim;
                add_scaled(dquery, dscore, &keys.rows[place.clone()]);
                add_scaled(&mut dkeys[place.clone()], dscore, query);
                add_scaled(&mut dvalues[place], probability, dout);
            }
        }
        dqueries
    }

    /// Copies the columns of one head, of queries, keys or values, out of the rows of a document.
    fn head(&self, input: &[f32], head: usize, tokens: usize) -> Vec<f32> {
        let (head_dim, columns) = (self.shape.head_dim, self.shape.columns());
        let mut out = Vec::with_capacity(tokens * head_dim);
        for row in input.chunks(columns) {
            out.extend_from_slice(&row[head * head_dim..][..head_dim]);
        }
        out
    }

    /// The reverse of [`Self::head`].
    fn put(&self, rows: &mut [f32], head: usize, channels: &[f32]) {
        let (head_dim, columns) = (self.shape.head_dim, self.shape.columns());
        for (row, channels) in rows.chunks_mut(columns).zip(channels.chunks(head_dim)) {
            row[head * head_dim..][..head_dim].copy_from_slice(channels);
        }
    }

    fn turn_all(&self, channels: &mut [f32], back: bool) {
        for (position, channels) in channels.chunks_mut(self.shape.head_dim).enumerate() {
            self.rotary.turn(channels, position, back);
        }
    }
}

/// Keys (turned to their positions) and values of one head of a document, as rows and as columns.
struct Keys {
    tokens: usize,
    rows: Vec<f32>,
    columns: Vec<f32>,
    value_rows: Vec<f32>,
    value_columns: Vec<f32>,
}

impl Keys {
    fn new(attention: &Attention, input: &[f32], key_head: usize, tokens: usize) -> Self {
        let AttentionShape {
            heads,
            key_value_heads,
            head_dim,
        } = attention.shape;
        let mut keys = attention.head(input, heads + key_head, tokens);
        attention.turn_all(&mut keys, false);
        let values = attention.head(input, heads + key_value_heads + key_head, tokens);
        Self {
            tokens,
            columns: transposed(&keys, head_dim),
            rows: keys,
            value_columns: transposed(&values, head_dim),
            value_rows: values,
        }
    }

    /// Attention of a query over the first `out.len()` tokens.
    fn probabilities(&self, query: &[f32], scale: f32, out: &mut [f32]) {
        across(query, &self.columns, self.tokens, out);
        for score in out.iter_mut() {
            *score *= scale;
        }
        softmax(out);
    }
}

/// `out[j] = sum over i of left[i] * columns[i][j]`: scalar products with many rows at once, channel by channel, which
/// vectorises where a sum over a row's channels would not.
fn across(left: &[f32], columns: &[f32], stride: usize, out: &mut [f32]) {
    out.fill(0.0);
    for (left, column) in left.iter().zip(columns.chunks(stride)) {
        add_scaled(out, *left, column);
    }
}

fn transposed(rows: &[f32], width: usize) -> Vec<f32> {
    let count = rows.len() / width;
    let mut out = vec![0.0; rows.len()];
    for (row, values) in rows.chunks(width).enumerate() {
        for (column, value) in values.iter().enumerate() {
            out[column * count + row] = *value;
        }
    }
    out
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = values(storage, layout)?;
        let (tokens, columns) = matrix(layout)?;
        if columns != self.shape.columns() || self.offsets.last() != Some(&tokens) {
            bail!(
                "attention: a matrix of [{tokens}, {columns}] does not fit {:?}",
                self.shape
            );
        }
        let width = self.shape.query_width();
        let mut out = vec![0.0; tokens * width];
        self.documents(&mut out, width)
            .into_par_iter()
            .for_each(|(first, out)| {
                let rows = out.len() / width;
                self.document_forward(&input[first * columns..][..rows * columns], out);
            });
        Ok((CpuStorage::F32(out), (tokens, width).into()))
    }

    fn bwd(&self, input: &Tensor, _out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let dout = dout.contiguous()?;
        let (input_values, dout_values) = (read(input)?, read(&dout)?);
        let (input_slice, dout_slice) = (&*input_values, &*dout_values);
        let (columns, width) = (self.shape.columns(), self.shape.query_width());
        let mut dinput = vec![0.0; input_slice.len()];
        self.documents(&mut dinput, columns)
            .into_par_iter()
            .for_each(|(first, dinput)| {
                let rows = dinput.len() / columns;
                let input = &input_slice[first * columns..][..rows * columns];
                let dout = &dout_slice[first * width..][..rows * width];
                self.document_backward(input, dout, dinput);
            });
        Ok(Some(Tensor::from_vec(
            dinput,
            input.shape(),
            input.device(),
        )?))
    }
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
