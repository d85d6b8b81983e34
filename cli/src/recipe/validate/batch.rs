//! `batch` of a teacher.

use limbeck_teacher::wire::{self, Preset};

use super::Checker;
use crate::recipe::TeacherSection;

impl Checker<'_> {
    /// Whether the service takes batches, and such ones.
    pub(super) fn batch(&mut self, at: &str, teacher: &TeacherSection, preset: &Preset) {
        let Some(batch) = teacher.batch else { return };
        let limits = preset.dialect.batch_limits();
        let (Some(_), Some(limits)) = (preset.batch_discount, limits) else {
            let known: Vec<String> = wire::preset_names()
                .filter(|name| wire::preset(name).is_some_and(|p| p.batch_discount.is_some()))
                .map(|name| format!("`{name}`"))
                .collect();
            let message = format!("the provider `{}` is not asked in batches", preset.name);
            let listed = known.join(", ");
            let listed = match listed.rsplit_once(", ") {
                Some((others, last)) => format!("{others} and {last}"),
                None => listed,
            };
            let help = format!("leave `batch` out; {listed} take batches");
            self.wrong_with_help(format!("{at}.batch"), message, help);
            return;
        };
        let (size, most) = (batch.size, limits.requests);
        let holds = size > 0 && size as usize <= most;
        self.expect(
            holds,
            &format!("{at}.batch.size"),
            size,
            &format!("1 to {most}"),
        );
        for (key, value, most) in [
            ("poll_s", batch.poll_s, 3600.0),
            ("wait_hours", batch.wait_hours, 720.0),
            ("resend_after_hours", batch.resend_after_hours, 8760.0),
        ] {
            let holds = value > 0.0 && value <= most;
            let expected = format!("more than 0 and at most {most}");
            self.expect(holds, &format!("{at}.batch.{key}"), value, &expected);
        }
        let deployment = teacher.endpoints().iter().any(|endpoint| {
            let base_url = endpoint.base_url.as_deref();
            base_url.is_some_and(|base_url| base_url.contains("/deployments/"))
        });
        if deployment {
            let place = if teacher.endpoints.is_empty() {
                format!("{at}.base_url")
            } else {
                format!("{at}.endpoints.0.base_url")
            };
            let message = "batches are not handed over at the address of one deployment";
            let help = "write https://RESOURCE.openai.azure.com/openai/v1, and the name of the deployment as `model`";
            self.wrong_with_help(place, message, help);
        }
        if teacher.endpoints.len() > 1 {
            let message = "a batch goes to one address, and `endpoints` names several";
            let help = "name one address, or make a teacher of each";
            self.wrong_with_help(format!("{at}.endpoints"), message, help);
        }
        if teacher.stream == Some(true) {
            let message = "the answers of a batch do not come in pieces";
            self.wrong_with_help(format!("{at}.stream"), message, "leave `stream` out");
        }
    }
}
