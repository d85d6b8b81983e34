//! How mistakes in `[audit]` and `[[waiver]]` are shown.

use expect_test::expect;

use super::mistakes_tests::check_in;
use super::tests::WHOLE;

const AUDIT: &str = r#"[audit]
accounts = { one = ["a", "b"], two = ["b"] }

[[audit.rule]]
code = "privacy::emial"
level = "allow"
reason = ""

[[audit.rule]]
code = "integrity::trace-changed"
level = "warn"
reason = "it was me"

[[waiver]]
code = "privacy::mail"
expires = "2027-01-01"

[harvest]"#;

#[test]
fn codes_that_are_not_there_and_exceptions_that_cannot_be_are_mistakes() {
    check_in(
        WHOLE,
        "[harvest]",
        AUDIT,
        &expect![[r#"
        the key `b` is of another account too
          --> recipe.toml:17:38
           |
        17 | accounts = { one = ["a", "b"], two = ["b"] }
           |                                      ^^^^^

        no finding has the code `privacy::emial`
          --> recipe.toml:20:8
           |
        20 | code = "privacy::emial"
           |        ^^^^^^^^^^^^^^^^
           = help: did you mean `privacy::email`?

        a rule needs a reason
          --> recipe.toml:22:10
           |
        22 | reason = ""
           |          ^^

        `integrity::trace-changed` cannot be made less grave
          --> recipe.toml:26:9
           |
        26 | level = "warn"
           |         ^^^^^^
           = help: it tells that something was tampered with, or that the recipe excepts too much; a `[[waiver]]` lets training and export go on, and is shown in what they make

        no finding has the code `privacy::mail`
          --> recipe.toml:30:8
           |
        30 | code = "privacy::mail"
           |        ^^^^^^^^^^^^^^^
           = help: did you mean `privacy::email`?"#]],
    );
}
