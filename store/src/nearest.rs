//! What a word was probably meant to be.

/// The one of `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            (
                candidate,
                strsim::normalized_damerau_levenshtein(word, candidate),
            )
        })
        .filter(|(_, likeness)| *likeness >= 0.55)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(candidate, _)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_are_alike_are_suggested() {
        let known = ["template", "temperature", "top_p"];
        assert_eq!(nearest("templat", known), Some("template"));
        assert_eq!(nearest("temperture", known), Some("temperature"));
        assert_eq!(nearest("colour", known), None);
    }
}
