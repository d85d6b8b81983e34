use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static DETECTORS: LazyLock<Vec<Box<dyn Detector>>> = LazyLock::new(|| detectors().unwrap());

/// What every detector counts in `text`, without those that count nothing.
fn counts(text: &str) -> Vec<(&'static str, u64)> {
    let counts = DETECTORS.iter().map(|d| (d.name(), d.count(text)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn each_kind_is_met() {
    for (text, name, count) in [
        (
            "write to ann.lee+x@mail.example.org or bo@example.com.",
            "email",
            2,
        ),
        ("@ann and @bo_2: thanks", "handle", 2),
        ("thanks @ann.", "handle", 1),
        ("see https://t.example/x1 and www.example.org/a", "link", 2),
        ("call +44 20 7946 0958", "phone", 1),
        ("call (555) 010-4477 or 555-010-4478", "phone", 2),
        ("ruf 030 / 1234567 nicht, 0301-234567 schon", "phone", 1),
        ("IBAN DE89 3704 0044 0532 0130 00 AND MORE", "iban", 1),
        ("GB82WEST12345698765432", "iban", 1),
        ("card 4111 1111 1111 1111, 5500-0000-0000-0004", "card", 2),
        ("from 192.168.0.1.", "ipv4", 1),
        ("from 2001:db8::8a2e:370:7334", "ipv6", 1),
        ("AKIAIOSFODNN7EXAMPLE", "secret-by-prefix", 1),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret-by-prefix", 1),
        ("password = 'q8Zr2Lk9Xv7Tn4Wp'", "secret-by-entropy", 1),
    ] {
        assert_eq!(counts(text), [(name, count)], "{text}");
    }
}

#[test]
fn what_only_looks_like_it_is_not_met() {
    for text in [
        "",
        "version 1.2.3.4.5 and 256.1.1.1",
        "DE89 3704 0044 0532 0130 01",
        "4111 1111 1111 1112",
        "at 10:30:45 on 2026-03-01",
        "order 12345678, 3 @ 5 USD",
        "std::fmt::Display a::b::c",
        "password = correcthorsebatterystaple",
        "task-0123456789012345678901234567",
        "the key: everything",
    ] {
        assert_eq!(counts(text), [], "{text}");
    }
}

#[test]
fn findings_count_and_never_show_what_was_met() {
    let mut privacy = PrivacyCounts::new(detectors().unwrap());
    privacy.add("prompts", ["from bo@example.com", "to al@example.com"]);
    privacy.add("prompts", ["nothing"]);
    privacy.add("answers", ["hf_abcdefghijklmnopqrstuvwxyz0123456789"]);
    let findings = privacy.findings();
    let messages: Vec<&str> = findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "keys that a service gave out in 1 of 1 answers: 1 (detector `secret-by-prefix`, version 1)",
            "e-mail addresses in 1 of 2 prompts: 2 (detector `email`, version 1)",
        ]
    );
    assert_eq!(findings[0].level, Level::Deny);
    assert_eq!(findings[1].code, "privacy::email");
}

/// The two digits that make `country` and `account` an IBAN.
fn iban_of(country: &str, account: &str) -> String {
    let digits = (2..=98).map(|check| format!("{country}{check:02}{account}"));
    let mut valid = digits.filter(|text| checksum::iban(text));
    valid.next().unwrap()
}

proptest! {
    #[test]
    fn one_wrong_digit_breaks_a_checksum(account in "[0-9]{18}", place in 4_usize..22, by in 1_u8..10) {
        let iban = iban_of("DE", &account);
        prop_assert_eq!(iban_of("DE", &account).len(), 22);
        let mut bytes = iban.into_bytes();
        bytes[place] = b'0' + (bytes[place] - b'0' + by) % 10;
        let wrong = String::from_utf8(bytes).unwrap();
        prop_assert!(!checksum::iban(&wrong));

        let check = (0..10).find(|check| checksum::luhn(&format!("{account}{check}")));
        let number = format!("{account}{}", check.unwrap());
        let mut bytes = number.into_bytes();
        bytes[place - 4] = b'0' + (bytes[place - 4] - b'0' + by) % 10;
        prop_assert!(!checksum::luhn(&String::from_utf8(bytes).unwrap()));
    }

    #[test]
    fn any_text_can_be_counted_in(text in ".*", odd in "[@:/.+ 0-9a-fA-F=-]{0,60}") {
        counts(&text);
        counts(&odd);
    }
}
