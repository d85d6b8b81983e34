//! `[[teacher]]`: what each kind of teacher takes, and whether what is asked of it can be asked.

use limbeck_store::{Prompt, PromptBody, SamplingParameters, nearest};
use limbeck_teacher::wire::{self, Preset, WireRequest};
use limbeck_teacher::{Ask, LimitError};

use super::Checker;
use crate::recipe::TeacherSection;
use crate::recipe::harvest::{Form, HarvestSection};
use crate::recipe::teacher::{LOCAL, LimitsSection};

/// Names of models and makers that are taken for those of services; `grok` is a letter away from another.
const MODELS: [(&str, &str); 4] = [
    ("grok", "xai"),
    ("claude", "anthropic"),
    ("google", "gemini"),
    ("gpt", "openai"),
];

impl Checker<'_> {
    pub(super) fn teachers(
        &mut self,
        teachers: &[TeacherSection],
        harvest: Option<&HarvestSection>,
    ) {
        let names = teachers.iter().map(|teacher| teacher.name.as_str());
        self.unique("teacher", "teacher", names, &[]);
        for (index, teacher) in teachers.iter().enumerate() {
            let at = format!("teacher.{index}");
            self.limits(&format!("{at}.limits"), &teacher.limits);
            match teacher.preset() {
                _ if teacher.is_local() => self.local(&at, teacher, harvest),
                Some(preset) => self.service(&at, teacher, preset, harvest),
                None => self.unknown_provider(&at, &teacher.provider),
            }
        }
    }

    /// The list of those that are asked: each once, and all of them there.
    pub(super) fn harvest_teachers(&mut self, names: &[String]) {
        if names.is_empty() {
            self.wrong("harvest.teacher", "the list of teachers is empty");
        }
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                let message = format!("the teacher `{name}` is there twice");
                self.wrong(format!("harvest.teacher.{index}"), message);
            }
            let at = match names {
                [_] => "harvest.teacher".to_owned(),
                _ => format!("harvest.teacher.{index}"),
            };
            self.teacher_name(&at, name);
        }
    }

    /// Whose weights or tokenizer the student takes must be in this process.
    pub(super) fn local_teacher_name(&mut self, at: &str, name: &str) {
        self.teacher_name(at, name);
        let named = self.sections.iter().find(|teacher| teacher.name == name);
        if let Some(teacher) = named
            && !teacher.is_local()
        {
            let message = format!(
                "the teacher `{name}` is asked over the network, so its tokenizer and weights are not here"
            );
            self.wrong_with_help(
                at,
                message,
                "use `tokenizer = { train_bpe = … }` and `init = \"scratch\"`, or name a local teacher",
            );
        }
    }

    fn unknown_provider(&mut self, at: &str, provider: &str) {
        let known = || wire::preset_names().chain([LOCAL]);
        // `LM Studio`, `llama.cpp`, `OpenAI`.
        let plain: String = provider
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        let called = MODELS.iter().find(|(model, _)| *model == plain);
        let near = called.map(|(_, provider)| *provider);
        let help = match near.or_else(|| nearest(&plain, known())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "known are {}; `compatible` with a `base_url` is any other server of the same dialect as `openai`",
                known()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        let message = format!("unknown provider `{provider}`");
        self.wrong_with_help(format!("{at}.provider"), message, help);
    }

    fn limits(&mut self, at: &str, limits: &LimitsSection) {
        let concurrent = limits.concurrent;
        let holds = (1..=4096).contains(&concurrent);
        self.expect(holds, &format!("{at}.concurrent"), concurrent, "1 to 4096");
        for (key, limit) in limits.given() {
            self.expect(limit > 0, &format!("{at}.{key}"), limit, "1 or more");
        }
        if let Some(usd) = limits.spend_usd {
            let holds = usd > 0.0 && usd.is_finite();
            self.expect(holds, &format!("{at}.spend_usd"), usd, "more than 0");
        }
    }

    fn local(&mut self, at: &str, teacher: &TeacherSection, harvest: Option<&HarvestSection>) {
        self.source(&format!("{at}.model"), &teacher.model);
        self.sha256(&format!("{at}.sha256"), teacher.sha256.as_deref());
        let of_services = [
            ("base_url", teacher.base_url.is_some()),
            ("api_key_env", teacher.api_key_env.is_some()),
            ("route", teacher.route.is_some()),
            ("plan", teacher.plan.is_some()),
            ("region", teacher.region.is_some()),
            ("retention", teacher.retention.is_some()),
            ("contracting_entity", teacher.contracting_entity.is_some()),
            ("endpoints", !teacher.endpoints.is_empty()),
            ("retry", teacher.retry.is_some()),
            ("price", teacher.price.is_some()),
            ("stream", teacher.stream.is_some()),
            ("batch", teacher.batch.is_some()),
            ("timeout", teacher.timeout.is_some()),
            ("limits.spend_usd", teacher.limits.spend_usd.is_some()),
        ];
        for (key, _) in of_services.iter().filter(|(_, given)| *given) {
            let message =
                format!("`{key}` is for teachers over the network, and this one is local");
            self.wrong(format!("{at}.{key}"), message);
        }
        let Some(sampling) = asked_of(teacher, harvest).map(|harvest| &harvest.sampling) else {
            return;
        };
        for (key, given) in [
            ("json_schema", sampling.json_schema.is_some()),
            ("reasoning", sampling.reasoning.is_some()),
        ] {
            if given {
                let message = format!("the local teacher `{}` does not take `{key}`", teacher.name);
                self.wrong(format!("harvest.sampling.{key}"), message);
            }
        }
    }

    fn service(
        &mut self,
        at: &str,
        teacher: &TeacherSection,
        preset: &'static Preset,
        harvest: Option<&HarvestSection>,
    ) {
        if teacher.model.trim().is_empty() {
            self.wrong(format!("{at}.model"), "a service needs the name of a model");
        }
        if teacher.sha256.is_some() {
            let message = "`sha256` is for the file of a local teacher";
            self.wrong(format!("{at}.sha256"), message);
        }
        if teacher.base_url.is_some() && !teacher.endpoints.is_empty() {
            let message = "`base_url` and `endpoints` say the same thing twice";
            self.wrong_with_help(format!("{at}.base_url"), message, "leave one of them out");
        }
        self.endpoints(at, teacher, preset);
        self.batch(at, teacher, preset);
        if let Err(LimitError { field }) = teacher.retry().check() {
            let message = format!("`{field}` must be more than 0");
            self.wrong(format!("{at}.retry.{field}"), message);
        }
        for (key, seconds) in teacher.timeout.unwrap_or_default().given() {
            let holds = seconds > 0.0 && seconds <= 86_400.0;
            let place = format!("{at}.timeout.{key}");
            self.expect(holds, &place, seconds, "more than 0 and at most 86400");
        }
        if teacher.price.is_some_and(|price| !price.is_valid()) {
            self.wrong(format!("{at}.price"), "a price must be 0 or more");
        }
        let harvest = asked_of(teacher, harvest);
        if let Some(harvest) = harvest {
            self.can_be_asked(teacher, preset, harvest);
        }
        self.money(at, teacher, harvest);
    }

    fn endpoints(&mut self, at: &str, teacher: &TeacherSection, preset: &Preset) {
        for (index, endpoint) in teacher.endpoints().iter().enumerate() {
            let place = if teacher.endpoints.is_empty() {
                at.to_owned()
            } else {
                format!("{at}.endpoints.{index}")
            };
            if let Err(error) = wire::Endpoint::new(preset, endpoint.base_url.as_deref()) {
                let place = format!("{place}.base_url");
                self.wrong_with_help(place, error.to_string(), error.hint());
            }
            if let Some(limits) = &endpoint.limits {
                self.limits(&format!("{place}.limits"), limits);
                if limits.spend_usd.is_some() {
                    let message = "the cap `spend_usd` is the whole teacher's";
                    self.wrong_with_help(
                        format!("{place}.limits.spend_usd"),
                        message,
                        "put it into the `limits` of the teacher",
                    );
                }
            }
        }
    }

    /// Whether the service takes the settings of `[harvest]`: a request with them is written down, and not sent.
    fn can_be_asked(
        &mut self,
        teacher: &TeacherSection,
        preset: &Preset,
        harvest: &HarvestSection,
    ) {
        let body = match harvest.form {
            Form::Completion => PromptBody::Completion {
                text: "text".to_owned(),
            },
            Form::Chat => PromptBody::Chat {
                messages: vec![limbeck_store::Message::new("user", "text")],
            },
        };
        let ask = Ask {
            prompt: Prompt::new(body, "text", "main", "recipe", 1),
            sample: 0,
            parameters: harvest.parameters(),
        };
        if let Err(error) = WireRequest::build(preset, &teacher.model, &ask, false) {
            let message = error.to_string();
            let said = message.split('`').nth(1).unwrap_or_default();
            let what = said.split(' ').next().unwrap_or_default();
            let at = match what {
                "form" | "choices" | "samples" => format!("harvest.{what}"),
                _ => format!("harvest.sampling.{what}"),
            };
            match error.hint() {
                Some(help) => self.wrong_with_help(at, message, help),
                None => self.wrong(at, message),
            }
        }
    }

    /// A cap needs prices, and must let one request through; so must the limits of tokens.
    fn money(&mut self, at: &str, teacher: &TeacherSection, harvest: Option<&HarvestSection>) {
        let cap = teacher.limits.spend_usd;
        let price = teacher.harvest_price();
        if cap.is_some() && price.is_none() {
            let message = format!(
                "no price is known for `{}`, so a cap would cap nothing",
                teacher.model
            );
            let help = "add `price = { input = …, output = … }`, in USD for a million tokens";
            self.wrong_with_help(format!("{at}.limits.spend_usd"), message, help);
        }
        let Some(harvest) = harvest else { return };
        let SamplingParameters { max_tokens, .. } = harvest.parameters();
        if let Some(larger) = teacher.truncated_max_tokens()
            && larger <= max_tokens
        {
            let message = format!(
                "`truncated_max_tokens` is {larger}, which is no more than the {max_tokens} that are asked for first"
            );
            let help = "what is cut off is asked for again with it: raise it, or leave it out";
            let place = format!("{at}.retry.truncated_max_tokens");
            self.wrong_with_help(place, message, help);
        }
        let most = u64::from(max_tokens.max(teacher.truncated_max_tokens().unwrap_or(0)));
        if let (Some(cap), Some(price)) = (cap, price) {
            let one = limbeck_teacher::usd(price.cost(1, 0, most));
            // One of 0 was found before.
            if cap > 0.0 && cap < one {
                let message = format!(
                    "`spend_usd` is {cap}, but one answer of {most} tokens may cost {one:.6}"
                );
                self.wrong(format!("{at}.limits.spend_usd"), message);
            }
        }
        for (key, limit) in teacher.limits.given() {
            let counts_answers = matches!(
                key,
                "output_tokens_per_minute" | "tokens_per_minute" | "tokens_per_day"
            );
            if counts_answers && limit > 0 && limit < most {
                let message = format!("`{key}` is {limit}, but one answer may take {most} tokens");
                let help = "lower `max_tokens` of `sampling`";
                self.wrong_with_help(format!("{at}.limits.{key}"), message, help);
            }
        }
    }
}

/// `[harvest]`, if it asks `teacher`.
fn asked_of<'a>(
    teacher: &TeacherSection,
    harvest: Option<&'a HarvestSection>,
) -> Option<&'a HarvestSection> {
    harvest.filter(|harvest| {
        let names = harvest.teacher.as_ref();
        names.is_none_or(|names| names.as_slice().contains(&teacher.name))
    })
}
