//! The teachers of a recipe, ready to be asked.

use std::sync::Arc;

use anyhow::Context;
use limbeck_model::{ModelFiles, Precision};
use limbeck_teacher::{
    ApiEndpoint, ApiKey, ApiNotice, ApiOptions, ApiTeacher, ApiWatcher, LocalOptions, LocalTeacher,
    Teacher,
};
use serde::{Deserialize, Serialize};

use super::Pipeline;
use crate::printer::{Printer, WithHint};
use crate::recipe::TeacherSection;
use crate::sources::Fetched;
use crate::text;

/// What reports and model cards say of a teacher.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Its name in the recipe.
    pub name: String,
    /// The model, as the recipe names it.
    pub model: String,
    /// Of its file, in hex, where there is one.
    pub sha256: Option<String>,
    /// Size of its file.
    pub bytes: Option<u64>,
    /// Its weights, in numbers.
    pub parameters: Option<u64>,
    /// Its licence, as the recipe or else its file tells it.
    pub license: Option<String>,
}

/// A teacher that can be asked.
pub struct Loaded {
    /// What it is.
    pub facts: Facts,
    /// What the recipe says of it.
    pub section: TeacherSection,
    teacher: Asked,
}

#[derive(Clone)]
enum Asked {
    Local(Arc<LocalTeacher>),
    Api(Arc<ApiTeacher>),
}

impl Loaded {
    /// To ask it.
    pub fn asked(&self) -> Arc<dyn Teacher> {
        match &self.teacher {
            Asked::Local(teacher) => teacher.clone(),
            Asked::Api(teacher) => teacher.clone(),
        }
    }

    /// The same, if it is a service.
    pub fn api(&self) -> Option<&Arc<ApiTeacher>> {
        match &self.teacher {
            Asked::Api(teacher) => Some(teacher),
            Asked::Local(_) => None,
        }
    }

    /// What its answers are kept under.
    pub fn key(&self) -> String {
        self.asked().identity().key()
    }
}

impl Pipeline {
    /// Makes all teachers ready that the harvest asks.
    pub(super) async fn load_teachers(&self) -> anyhow::Result<Vec<Loaded>> {
        let mut loaded = Vec::new();
        for section in self.recipe.harvest_teachers()? {
            loaded.push(self.load(section).await?);
        }
        Ok(loaded)
    }

    /// Makes the first of them ready, which answers the suites; `None` where all answers are imported and nobody is
    /// asked.
    pub(super) async fn load_suites_teacher(&self) -> anyhow::Result<Option<Loaded>> {
        match self.recipe.suites_teacher()? {
            Some(section) => Ok(Some(self.load(section).await?)),
            None => Ok(None),
        }
    }

    async fn load(&self, section: &TeacherSection) -> anyhow::Result<Loaded> {
        if section.is_local() {
            let file = self.material().await?.teacher(&section.name)?;
            let bar = self.progress.stage("load", None, "model");
            bar.message(section.name.clone());
            let loaded = load_local(section.clone(), file.clone()).await?;
            let parameters = loaded.facts.parameters.unwrap_or_default();
            bar.finish(format!("{} M parameters", parameters / 1_000_000));
            return Ok(loaded);
        }
        let loaded = load_service(section, &self.printer)?;
        if let Some(teacher) = loaded.api() {
            let key = loaded.key();
            let since = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(25);
            self.store
                .spent_since(&key, &since.to_string(), |some| teacher.remember(some))
                .await?;
            teacher.remember_cost(self.store.cost_of(&key).await?);
        }
        Ok(loaded)
    }
}

/// Reads the model of a local teacher.
pub async fn load_local(section: TeacherSection, file: Fetched) -> anyhow::Result<Loaded> {
    tokio::task::spawn_blocking(move || -> anyhow::Result<Loaded> {
        let files = ModelFiles::open(&file.path)?;
        let facts = Facts {
            name: section.name.clone(),
            model: section.model.clone(),
            sha256: Some(file.sha256.clone()),
            bytes: Some(file.bytes),
            parameters: Some(files.config.parameter_count() as u64),
            license: section.license.clone().or(files.license),
        };
        let options = LocalOptions {
            name: section.name.clone(),
            model: section.model.clone(),
            sha256: Some(file.sha256),
            license: facts.license.clone(),
            concurrent: section.limits.concurrent as usize,
            precision: Precision::Auto,
        };
        let teacher = Arc::new(LocalTeacher::load(&file.path, options)?);
        Ok(Loaded {
            facts,
            section,
            teacher: Asked::Local(teacher),
        })
    })
    .await?
}

/// Makes a service ready, with its keys from the environment. Nothing is sent.
pub fn load_service(section: &TeacherSection, printer: &Printer) -> anyhow::Result<Loaded> {
    let name = &section.name;
    let preset = section
        .preset()
        .with_context(|| format!("the teacher `{name}` has an unknown provider"))?;
    let mut endpoints = Vec::new();
    for endpoint in section.endpoints() {
        let variable = endpoint.api_key_env.as_deref();
        // A server of one's own, at an address of one's own, often wants no key.
        let usual = preset.key_env.as_deref();
        let needed = variable.is_some() || (usual.is_some() && endpoint.base_url.is_none());
        let key = match variable.or(usual) {
            Some(variable) => read_key(name, variable, needed)?,
            None => None,
        };
        endpoints.push(ApiEndpoint {
            base_url: endpoint.base_url,
            key,
            limits: endpoint.limits.map(|limits| limits.limits()),
        });
    }
    let options = ApiOptions {
        name: name.clone(),
        preset,
        model: section.model.clone(),
        route: section.route.clone(),
        plan: section.plan.clone(),
        region: section.region.clone(),
        retention: section.retention.clone(),
        contracting_entity: section.contracting_entity.clone(),
        license: section.license.clone(),
        endpoints,
        limits: section.limits.limits(),
        retry: section.retry(),
        price: section.price(),
        batch_price: section.batch_price(),
        stream: section.stream.unwrap_or(false),
        timeouts: section.timeout.unwrap_or_default().timeouts(),
        watcher: Arc::new(Watcher {
            teacher: name.clone(),
            printer: printer.clone(),
        }),
    };
    let teacher = ApiTeacher::new(options).map_err(|error| {
        let hint = error.hint();
        let error =
            anyhow::Error::new(error).context(format!("the teacher `{name}` cannot be asked"));
        match hint {
            Some(hint) => Err::<(), _>(error).hint(hint).expect_err("an error"),
            None => error,
        }
    })?;
    Ok(Loaded {
        facts: Facts {
            name: name.clone(),
            model: section.model.clone(),
            sha256: None,
            bytes: None,
            parameters: None,
            license: section.license.clone(),
        },
        section: section.clone(),
        teacher: Asked::Api(Arc::new(teacher)),
    })
}

/// The key in `variable`, which also is what receipts call it.
fn read_key(teacher: &str, variable: &str, needed: bool) -> anyhow::Result<Option<ApiKey>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        if !needed {
            return Ok(None);
        }
        return Err(anyhow::anyhow!(
            "the variable `{variable}` is not set, which holds the key of the teacher `{teacher}`"
        ))
        .hint(format!(
            "`export {variable}=…`, or name another variable with `api_key_env`"
        ));
    };
    let key = value
        .to_str()
        .with_context(|| format!("the variable `{variable}` holds no text"))?;
    let key = ApiKey::new(variable, key)
        .with_context(|| format!("the variable `{variable}` holds no key that can be sent"))
        .hint(format!(
            "copy the key again: it is one line of ASCII letters, digits and signs, without spaces; then `export {variable}=…`"
        ))?;
    Ok(Some(key))
}

/// Tells a person what happens beside answers.
struct Watcher {
    teacher: String,
    printer: Printer,
}

impl ApiWatcher for Watcher {
    fn notice(&self, notice: &ApiNotice) {
        let teacher = &self.teacher;
        match notice {
            ApiNotice::EndpointPaused {
                endpoint,
                pause,
                why,
            } => self.printer.warning(format_args!(
                "{teacher}: `{endpoint}` is left alone for {} ({})",
                text::duration(*pause),
                text::sanitize_line(why)
            )),
            ApiNotice::EndpointBack { endpoint } => self
                .printer
                .status(format_args!("{teacher}: `{endpoint}` answers again")),
            ApiNotice::AskedToWait { endpoint, wait } => self.printer.status(format_args!(
                "{teacher}: `{endpoint}` asks to wait for {}",
                text::duration(*wait)
            )),
        }
    }
}
