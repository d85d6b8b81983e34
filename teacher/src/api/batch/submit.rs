//! What has no answer is written down, kept, and handed over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use limbeck_store::identity::sha256_hex;
use limbeck_store::{BatchRequest, BatchResults, NewBatch, Prompt, SamplingParameters, now};

use super::BatchNotice;
use super::call::Failed;
use super::road::Road;
use crate::harvest::pending::Question;
use crate::pace::NanoUsd;
use crate::teacher::Try;
use crate::wire::{
    BatchBody, BatchLimits, Failure, FailureKind, FileState, RemoteBatch, UploadedFile, WireRequest,
};
use crate::{Ask, AskError, HarvestError, Teacher};

/// Prompts that are read from the store in one call, at most.
const CHUNK: usize = 512;
/// How often a service is asked whether it has read a file, at least.
const FILE_POLL: Duration = Duration::from_secs(5);
/// So long it may take.
const LONGEST_READING: Duration = Duration::from_mins(15);
/// The characters of a marker.
const MARKER_CHARACTERS: usize = 32;

/// A batch that is being put together. What its requests may cost is set aside.
struct Draft {
    body: BatchBody,
    requests: Vec<BatchRequest>,
    parameters: SamplingParameters,
}

/// What came of handing a batch over.
enum HandedOver {
    /// The service has it.
    Taken(String),
    /// It may have it; its name has not arrived.
    Perhaps(Failure),
    /// It has not.
    Not(AskError),
}

impl Road<'_> {
    /// Hands over as much of `queue` as the cap allows and the service takes.
    pub(super) async fn submit(
        &mut self,
        queue: &mut VecDeque<Question>,
    ) -> Result<(), HarvestError> {
        while self.options.submit && !self.crowded && !self.cancel.is_cancelled() {
            match self.draft(queue).await? {
                Some(draft) => self.hand_over(draft).await?,
                None => break,
            }
        }
        Ok(())
    }

    /// Puts a batch together; `None` where nothing is left or nothing more can be paid for at present.
    async fn draft(
        &mut self,
        queue: &mut VecDeque<Question>,
    ) -> Result<Option<Draft>, HarvestError> {
        let teacher = self.service.teacher;
        let options = &teacher.options;
        let Some(limits) = options.preset.dialect.batch_limits() else {
            return Ok(None);
        };
        let limits = BatchLimits {
            requests: limits.requests.min(self.options.size),
            ..limits
        };
        let mut draft: Option<Draft> = None;
        let mut ahead = VecDeque::new();
        while let Some((question, prompt)) = self.next(queue, &mut ahead).await? {
            let ask = self.plan.ask(question, prompt);
            let same = |draft: &Draft| draft.parameters == ask.parameters;
            if !draft.as_ref().is_none_or(same) {
                queue.push_front(question);
                break;
            }
            let request = match WireRequest::build(options.preset, &options.model, &ask, false) {
                Ok(request) => request,
                Err(error) => {
                    self.unasked(&ask, error.into()).await?;
                    continue;
                }
            };
            let cost = self.most(&ask, &request);
            if let Err(refusal) = self.service.teacher.purse.try_reserve(cost) {
                queue.push_front(question);
                // When something that is under way has ended, there may be enough.
                if draft.is_none() && self.open.is_empty() {
                    return Err(self.teacher_error(refusal.into()));
                }
                break;
            }
            let key = ask.trace_key(&self.service.teacher.identity().key());
            let draft = draft.get_or_insert_with(|| Draft {
                body: BatchBody::new(options.preset.dialect, limits),
                requests: Vec::new(),
                parameters: ask.parameters.clone(),
            });
            if !draft.body.push(&key.id(), &request) {
                self.service.teacher.purse.settle(cost, 0);
                if draft.requests.is_empty() {
                    return Err(self.teacher_error(too_large(&request)));
                }
                queue.push_front(question);
                break;
            }
            draft.requests.push(BatchRequest {
                trace_id: key.id(),
                prompt_id: key.prompt_id,
                sample: key.sample,
                request_sha256: sha256_hex(&request.body),
                most_nano_usd: cost,
                outcome: None,
            });
        }
        Ok(draft)
    }

    /// The next question with its prompt; `ahead` holds the prompts of the questions that come first in the queue.
    async fn next(
        &mut self,
        queue: &mut VecDeque<Question>,
        ahead: &mut VecDeque<Prompt>,
    ) -> Result<Option<(Question, Prompt)>, HarvestError> {
        loop {
            if ahead.is_empty() {
                let next = queue.iter().take(self.options.size.clamp(1, CHUNK));
                let ids: Vec<String> = next
                    .map(|question| self.plan.prompts.get(question.index as usize))
                    .collect();
                *ahead = self.store.prompts(&ids).await?.into();
            }
            let (Some(question), Some(prompt)) = (queue.pop_front(), ahead.pop_front()) else {
                return Ok(None);
            };
            if prompt.is_whole() {
                return Ok(Some((question, prompt)));
            }
            // Its text was erased, and nothing else is asked in its place.
            let key = self
                .plan
                .trace_key(question, &self.service.teacher.identity().key());
            self.submitted.insert(key.id());
            self.summary.erased += 1;
        }
    }

    /// What a request may cost at most in a batch.
    fn most(&self, ask: &Ask, request: &WireRequest) -> NanoUsd {
        let teacher = self.service.teacher;
        let output = u64::from(request.max_output_tokens);
        let price = teacher.options.batch_price;
        teacher.demand_at(price, ask, output).cost
    }

    /// Notes a question that cannot be put to the service.
    async fn unasked(&self, ask: &Ask, error: AskError) -> Result<(), HarvestError> {
        let key = ask.trace_key(&self.service.teacher.identity().key());
        let tried = Try::failed(now(), Duration::ZERO, &error);
        let attempt = tried.attempt(&key, &key.id());
        self.store
            .record_failures(std::slice::from_ref(&attempt))
            .await?;
        self.reporters.harvest.failed(&attempt);
        if error.is_fatal() {
            return Err(self.teacher_error(error));
        }
        Ok(())
    }

    async fn hand_over(&mut self, draft: Draft) -> Result<(), HarvestError> {
        let teacher = self.service.teacher.identity().key();
        let ids: Vec<&str> = draft.requests.iter().map(|r| r.trace_id.as_str()).collect();
        let marker = sha256_hex(format!("{}|{teacher}|{}", now(), ids.join("|")).as_bytes());
        let marker = marker[..MARKER_CHARACTERS].to_owned();
        let number = self
            .store
            .begin_batch(&NewBatch {
                marker: marker.clone(),
                teacher,
                endpoint: self.service.address(),
                key_alias: self.service.key_alias(),
                parameters: draft.parameters,
                requests: draft.requests.clone(),
            })
            .await?;
        let handed = self.send(number, &draft.body, &marker).await?;
        if let HandedOver::Not(error) = handed {
            self.forget(number).await?;
            return Err(self.teacher_error(error));
        }
        match handed {
            HandedOver::Taken(id) => {
                self.store.batch_is_submitted(number, &id).await?;
                self.lost = 0;
                self.notice(&BatchNotice::Submitted {
                    id,
                    requests: draft.requests.len() as u64,
                });
            }
            HandedOver::Perhaps(failure) => self.notice(&BatchNotice::NotTold {
                id: None,
                why: failure.to_string(),
            }),
            HandedOver::Not(_) => {}
        }
        for request in draft.requests {
            // What becomes of it now is what counts.
            if self.unanswered.remove(&request.trace_id) {
                self.summary.asked -= 1;
                self.summary.failed -= 1;
            }
            self.submitted.insert(request.trace_id);
        }
        self.open.extend(self.store.batch(number).await?);
        Ok(())
    }

    async fn send(
        &self,
        number: i64,
        body: &BatchBody,
        marker: &str,
    ) -> Result<HandedOver, HarvestError> {
        let calls = self.service.calls();
        let file = match calls.upload(body, marker) {
            None => None,
            Some(upload) => match self.upload(&upload).await {
                Ok(file) => Some(file),
                Err(error) => return Ok(HandedOver::Not(error)),
            },
        };
        let create = calls.create(body, file.as_deref(), marker);
        let mut failures = 0;
        loop {
            // From here on it may be at the service.
            self.store.batch_is_sent(number).await?;
            let Failed {
                failure,
                perhaps_done,
            } = match self.service.once(&create).await {
                Ok(value) => {
                    let preset = self.service.teacher.options.preset;
                    return Ok(match RemoteBatch::read(preset, &value) {
                        Ok(remote) => HandedOver::Taken(remote.id),
                        Err(failure) => HandedOver::Perhaps(failure),
                    });
                }
                Err(failed) => failed,
            };
            // Sent again it could be paid for twice, so it is looked for first.
            if perhaps_done {
                return Ok(HandedOver::Perhaps(failure));
            }
            failures += 1;
            let waited = self.service.wait(failure, failures, self.cancel).await;
            if let Err(error) = waited {
                return Ok(HandedOver::Not(error));
            }
        }
    }

    /// Uploads a file and waits until a batch can be made of it; its name. Nothing is paid for yet.
    async fn upload(&self, upload: &WireRequest) -> Result<String, AskError> {
        let begun = Instant::now();
        let failed = |failure| self.service.give_up(failure, 1);
        let mut told = self.service.call(upload, self.cancel).await?;
        loop {
            let file = UploadedFile::read(&told).map_err(failed)?;
            let unusable = |why: &str| {
                let message = format!("the service cannot use the file `{}`: {why}", file.id);
                failed(Failure::transport(FailureKind::InvalidRequest, &message))
            };
            match &file.state {
                FileState::Ready => return Ok(file.id),
                FileState::Unusable(why) => return Err(unusable(why)),
                FileState::BeingRead if begun.elapsed() > LONGEST_READING => {
                    return Err(unusable("it has been reading it for too long"));
                }
                FileState::BeingRead => {}
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(AskError::Cancelled),
                () = tokio::time::sleep(self.options.poll.min(FILE_POLL)) => {}
            }
            let look = self.service.calls().file(&file.id);
            told = self.service.call(&look, self.cancel).await?;
        }
    }

    /// A batch that the service does not have: its questions may be handed over again.
    pub(super) async fn forget(&mut self, number: i64) -> Result<(), HarvestError> {
        for request in self.store.batch_requests(number).await? {
            if request.outcome.is_none() {
                let purse = &self.service.teacher.purse;
                purse.settle(request.most_nano_usd, 0);
            }
            self.submitted.remove(&request.trace_id);
        }
        self.store.end_batch(number, 0).await?;
        Ok(())
    }

    /// The service did not begin with a batch. Where that is because it has too much to do, the batch is handed over
    /// again later; otherwise all others would fare the same.
    pub(super) async fn rejected(
        &mut self,
        index: usize,
        why: &str,
        crowded: bool,
    ) -> Result<(), HarvestError> {
        let batch = self.open.remove(index);
        if crowded && !self.open.is_empty() {
            self.forget(batch.number).await?;
            self.crowded = true;
            self.notice(&BatchNotice::Crowded {
                why: why.to_owned(),
            });
            return Ok(());
        }
        let id = batch.remote_id.clone().unwrap_or_default();
        let error = AskError::Other {
            kind: "batch-rejected".to_owned(),
            message: format!("the service did not take the batch `{id}`: {why}"),
            fatal: true,
        };
        let requests = self.store.batch_requests(batch.number).await?;
        let open: Vec<_> = requests.iter().filter(|r| r.outcome.is_none()).collect();
        let costs: Vec<_> = open
            .iter()
            .map(|request| (request.trace_id.clone(), request.most_nano_usd, 0))
            .collect();
        let results = BatchResults {
            unanswered: open
                .iter()
                .map(|request| {
                    self.attempt(&batch, request, None, "batch-rejected", why.to_owned())
                })
                .collect(),
            ..BatchResults::default()
        };
        self.keep(batch.number, results, &costs).await?;
        self.store.end_batch(batch.number, 0).await?;
        Err(self.teacher_error(error))
    }
}

fn too_large(request: &WireRequest) -> AskError {
    AskError::Other {
        kind: "invalid-request".to_owned(),
        message: format!(
            "a request of {} MB is larger than a whole batch may be",
            request.body.len() >> 20
        ),
        fatal: true,
    }
}
