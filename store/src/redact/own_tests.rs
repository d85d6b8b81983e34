use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::tests::awkward;
use super::*;

/// Compiling the detectors takes longer than anything here does with them.
static ALL: LazyLock<Redactor> = LazyLock::new(|| {
    let all = privacy::replaceable().unwrap();
    let names: Vec<String> = all.iter().map(|one| one.name().to_owned()).collect();
    Redactor::new(&names).unwrap()
});

fn all() -> Redactor {
    ALL.clone()
}

fn own(placeholders: &[(&str, &str)]) -> Result<Redactor, RedactError> {
    let placeholders: BTreeMap<String, String> = placeholders
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    all().with_placeholders(&placeholders)
}

fn check(placeholders: &[(&str, &str)], text: &str, expected: &str) {
    let redactor = own(placeholders).unwrap();
    assert_eq!(redactor.text(text, &mut Counts::default()), expected);
}

#[test]
fn a_recipe_says_what_stands_in_their_place() {
    let words = [("handle", "somebody"), ("link", ""), ("number", "#")];
    check(
        &words,
        "@ann and @bo: order 12345678 at https://t.example/x of bo@example.com",
        "somebody and somebody: order # at  of [email]",
    );
    check(&[("number", "<a number>")], "DL1234", "DL<a number>");
    check(&[("handle", "")], "nothing here", "nothing here");
}

#[test]
fn only_what_was_replaced_gets_the_words() {
    check(
        &[("handle", "user"), ("email", "")],
        "[handle] @ann [email] bo@example.com!",
        "[handle] user [email] !",
    );
    // A link over other finds takes their placeholders with it.
    check(
        &[("email", "me")],
        "https://x.example/bo@example.com",
        "[link]",
    );
}

#[test]
fn what_the_words_stand_beside_is_looked_at_again() {
    // Between brackets there is no name after the sign; with a word there is one.
    check(&[("phone", "number")], "(@+44 20 7946 0958", "([handle]");
    // What follows a word is met as it would be at the beginning of a text.
    check(
        &[("email", "user")],
        "<bo@example.com>555-010-4478",
        "<user>[phone]",
    );
    check(&[("link", "")], "12<https://x.example>34", "12<>34");
    // A number that begins inside of a handle goes with it.
    check(&[("handle", "")], "@ann12 34", "");
}

#[test]
fn what_could_be_taken_for_a_find_is_no_placeholder() {
    for (name, text, reason) in [
        ("handle", "@user", "nothing else"),
        ("number", "0", "nothing else"),
        ("link", "http://x", "nothing else"),
        ("link", "a\nb", "nothing else"),
        ("link", "seventeen letters", "longer than 16"),
    ] {
        let error = own(&[(name, text)]).err().unwrap().to_string();
        assert!(error.contains(reason) && error.contains(text), "{error}");
    }
    let handles = Redactor::new(&["handle".to_owned()]).unwrap();
    let link = BTreeMap::from([("link".to_owned(), String::new())]);
    let error = handles.with_placeholders(&link).err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is a placeholder for `link`, which is not replaced"
    );
}

#[test]
fn placeholders_are_a_part_of_the_identity() {
    let identity = |placeholders: &[(&str, &str)]| own(placeholders).unwrap().identity();
    assert_eq!(identity(&[("handle", "[handle]")]), all().identity());
    assert_ne!(identity(&[("handle", "")]), all().identity());
    assert_ne!(identity(&[("handle", "")]), identity(&[("handle", "x")]));
    let replaced = own(&[("handle", "x")]).unwrap();
    let replaced = replaced.replaced(&Counts::default());
    let told: Vec<_> = replaced.iter().map(|one| &one.placeholder).collect();
    assert_eq!(told.iter().filter(|one| one.is_some()).count(), 1);
    assert_eq!(replaced[1].identity(), json!(["handle", 1, "x"]));
    assert_eq!(replaced[0].identity(), json!(["email", 1]));
}

proptest! {
    #[test]
    fn nothing_is_left_with_words_of_a_recipe(
        text in awkward(),
        words in proptest::collection::vec("[A-Z]{0,16}|[a-z \\[\\](){}<>*#]{0,16}|AKIAAAAAAAAAAAAA", 11),
    ) {
        let names: Vec<_> = all().detectors.iter().map(|one| one.name()).collect();
        let pairs: Vec<(&str, &str)> =
            names.iter().copied().zip(words.iter().map(String::as_str)).collect();
        let redactor = own(&pairs).unwrap();
        let once = redactor.text(&text, &mut Counts::default()).into_owned();
        for detector in redactor.detectors.iter() {
            prop_assert_eq!(detector.count(&once), 0, "{}: {}", detector.name(), &once);
        }
        prop_assert!(matches!(redactor.text(&once, &mut Counts::default()), Cow::Borrowed(_)));
    }
}
