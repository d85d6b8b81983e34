//! What a recipe is going to use, or a store holds, as the audits of terms and of licences look at it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use limbeck_model::ModelFiles;
use limbeck_store::audit::{Finding, LicenseTags, LicenseText, Licensed};
use limbeck_store::terms::{Collected, Origin};
use limbeck_store::{Clarified, ClarifiedAnswers, Store};

use super::{Reviewed, texts};
use crate::progress::Progress;
use crate::progress::adapters::FetchBar;
use crate::recipe::{Init, Recipe, SourceTable, TeacherSection};
use crate::sources::{Cache, Fetched, Source};

/// The route of answers of a model in the process itself.
const IN_PROCESS: &str = "in-process";
/// Who says what licence a model has, in the words of findings.
const RECIPE: &str = "the recipe";
const OWN_FILE: &str = "the model's own file";
const PAGE: &str = "`README.md` beside it";

/// Everything that bears on the student.
#[derive(Default)]
pub struct Materials {
    /// Where answers came from, or would come from if they were asked for today.
    pub origins: Vec<Origin>,
    /// The models whose tokenizer or weights it takes.
    pub weights: Vec<Licensed>,
    /// The sources of prompts.
    pub prompts: Vec<Licensed>,
    /// Licence texts beside models.
    pub texts: Vec<LicenseText>,
    /// The text of the student's own licence, where the recipe names one and it is the one that was meant.
    pub student_text: Option<LicenseText>,
    /// Licences of models that recipe and model file both tell.
    pub tags: Vec<LicenseTags>,
    /// The families whose weights it takes.
    pub families: BTreeSet<String>,
    /// What is wrong with texts by which the recipe says what a licence is.
    pub findings: Vec<Finding>,
    /// Local teachers that are not on this machine and say no licence.
    pub unseen: Vec<String>,
}

/// Where models are looked for. Nothing is downloaded.
pub(super) struct Looking<'a> {
    /// The recipe that names them.
    pub(super) recipe: &'a Recipe,
    /// What counts of what it says of rights.
    pub(super) reviewed: &'a Reviewed,
    /// Downloads of earlier runs.
    pub(super) cache: Cache,
    /// How long reading takes.
    pub(super) progress: Progress,
    /// The day of the look.
    pub(super) today: Date,
}

impl Looking<'_> {
    /// What the recipe is going to use: answers as if they were asked for today.
    pub(super) async fn planned(&self) -> anyhow::Result<Materials> {
        let (recipe, today) = (self.recipe, self.today);
        let mut materials = Materials::default();
        let clarified = self.clarified(&mut materials).await;
        self.student_text(&mut materials).await;
        let licenses = self
            .models(&mut materials, &BTreeMap::new(), &clarified)
            .await;
        let asked: Vec<String> = recipe
            .harvest_teachers()
            .map(|teachers| {
                teachers
                    .iter()
                    .map(|teacher| teacher.name.clone())
                    .collect()
            })
            .unwrap_or_default();
        for teacher in recipe.teachers() {
            if asked.contains(&teacher.name) && recipe.harvest()?.prompts.is_some() {
                let license = licenses.get(&teacher.name).cloned();
                materials.origins.push(Origin {
                    clarified: clarified.get(&teacher.name).cloned(),
                    ..origin(teacher, license, today)
                });
            }
        }
        for import in recipe.imports() {
            materials.origins.push(Origin {
                provider: import
                    .provider
                    .clone()
                    .unwrap_or_else(|| "unknown".to_owned()),
                route: "import".to_owned(),
                plan: None,
                region: None,
                endpoint: None,
                license: Some(match clarified.get(&import.source) {
                    Some(clarified) => clarified.license.clone(),
                    None => import.license.clone(),
                }),
                clarified: clarified.get(&import.source).cloned(),
                source: Some(import.from.clone()),
                model: import.answered_by(),
                collected: Collected::Until(today),
                answers: 0,
                recorded: None,
            });
        }
        if let Ok(harvest) = recipe.harvest()
            && let Some(prompts) = &harvest.prompts
        {
            materials.prompts.push(Licensed {
                name: prompts.source().to_owned(),
                license: prompts.license().map(str::to_owned),
                clarified: None,
            });
            clarify(&mut materials.prompts, &clarified);
        }
        Ok(materials)
    }

    /// What the store holds: all answers, or those that `dataset` is made of, as their receipts tell.
    pub(super) async fn held(
        &self,
        store: &Store,
        dataset: Option<&str>,
    ) -> anyhow::Result<Materials> {
        let mut materials = Materials {
            origins: match dataset {
                Some(dataset) => store.terms_origins_of(dataset).await?,
                None => store.terms_origins().await?,
            },
            prompts: match dataset {
                Some(dataset) => store.prompt_licenses_of(dataset).await?,
                None => store.prompt_licenses().await?,
            },
            ..Materials::default()
        };
        let receipts = store.terms_origins().await?.into_iter();
        let known = receipts.filter(|origin| origin.route == IN_PROCESS);
        let known = known.filter_map(|origin| Some((origin.model, origin.license?)));
        let clarified = self.clarified(&mut materials).await;
        self.student_text(&mut materials).await;
        self.say_undeclared(&mut materials.prompts);
        self.models(&mut materials, &known.collect(), &clarified)
            .await;
        clarify(&mut materials.prompts, &clarified);
        let answers = self.clarified_answers(&clarified);
        for origin in &mut materials.origins {
            let mut said = answers.iter();
            if let Some((_, clarified)) = said.find(|(answers, _)| answers.hold(origin)) {
                origin.license = Some(clarified.license.clone());
                origin.clarified = Some(clarified.clone());
            }
        }
        Ok(materials)
    }

    /// What persons say of the licences of answers, as far as it holds.
    pub(super) async fn clarifications(&self) -> Vec<(ClarifiedAnswers, Clarified)> {
        let clarified = self.clarified(&mut Materials::default()).await;
        self.clarified_answers(&clarified)
    }

    /// The same by answers: those of a teacher, or those that an import brings.
    fn clarified_answers(
        &self,
        clarified: &BTreeMap<String, Clarified>,
    ) -> Vec<(ClarifiedAnswers, Clarified)> {
        let teachers = self.recipe.teachers().iter().map(|teacher| {
            let answers = ClarifiedAnswers::OfModel {
                provider: teacher.provider.clone(),
                model: teacher.model.clone(),
            };
            (&teacher.name, answers)
        });
        let imports = self.recipe.imports().iter();
        let imports =
            imports.map(|import| (&import.source, ClarifiedAnswers::From(import.from.clone())));
        teachers
            .chain(imports)
            .filter_map(|(of, answers)| Some((answers, clarified.get(of)?.clone())))
            .collect()
    }

    /// What persons say of licences, by what it is about, as far as it holds.
    async fn clarified(&self, materials: &mut Materials) -> BTreeMap<String, Clarified> {
        let mut clarified = BTreeMap::new();
        for clarification in &self.reviewed.clarifications {
            let text = self.file(&clarification.text).await;
            let found = text.map(|text| text.sha256);
            if clarification.holds(found.as_deref()) {
                clarified.insert(clarification.of.clone(), clarification.clarified());
            }
            materials
                .findings
                .extend(clarification.finding(found.as_deref()));
        }
        clarified
    }

    /// The file of a source, if it is on this machine.
    async fn file(&self, source: &str) -> Option<Fetched> {
        let source = Source::parse(source).ok()?;
        let bar = FetchBar::new(&self.progress);
        let folder = self.recipe.folder();
        self.cache.fetch(&source, None, folder, &bar).await.ok()
    }

    /// Reads the text of the student's own licence, which counts while it is the one that the recipe means.
    async fn student_text(&self, materials: &mut Materials) {
        let intent = self.recipe.intent();
        let Some(meant) = &intent.student_license_text else {
            return;
        };
        let file = self.file(&meant.source).await;
        match texts::own_text(
            self.recipe.name(),
            intent.student_license.as_deref(),
            meant,
            file,
        ) {
            Ok(text) => materials.student_text = Some(text),
            Err(finding) => materials.findings.push(*finding),
        }
    }

    /// Prompts that were kept before the recipe said their licence are under the one that it says now. What was said of
    /// others stays: that it was wrong is for a clarification to say.
    fn say_undeclared(&self, prompts: &mut [Licensed]) {
        let harvest = self.recipe.harvest().ok();
        let Some(table) = harvest.and_then(|harvest| harvest.prompts.as_ref()) else {
            return;
        };
        let undeclared = prompts
            .iter_mut()
            .filter(|prompts| prompts.license.is_none() && prompts.name == table.source());
        for prompts in undeclared {
            prompts.license = table.license().map(str::to_owned);
        }
    }

    /// The licences of all teachers by their names, with what the student takes of them. Of models that are not on
    /// this machine, those that are `known` by their receipts.
    async fn models(
        &self,
        materials: &mut Materials,
        known: &BTreeMap<String, String>,
        clarified: &BTreeMap<String, Clarified>,
    ) -> BTreeMap<String, String> {
        let student = self.recipe.student().ok();
        let taken: Vec<&str> = student
            .map(|student| student.teachers().collect())
            .unwrap_or_default();
        let embeddings = student.and_then(|student| match &student.init {
            Init::Embeddings(name) => Some(name.as_str()),
            Init::Scratch => None,
        });
        let mut licenses = BTreeMap::new();
        for teacher in self.recipe.teachers() {
            let license = self.license_of(teacher, materials).await;
            let license = license.or_else(|| known.get(&teacher.model).cloned());
            let license = match clarified.get(&teacher.name) {
                // Somebody read the text, which settles what the tags say.
                Some(clarified) => {
                    materials.tags.retain(|tags| tags.model != teacher.model);
                    Some(clarified.license.clone())
                }
                None => license,
            };
            if license.is_none() && teacher.is_local() {
                materials.unseen.push(teacher.name.clone());
            }
            licenses.extend(
                license
                    .clone()
                    .map(|license| (teacher.name.clone(), license)),
            );
            if !taken.contains(&teacher.name.as_str()) {
                continue;
            }
            if embeddings == Some(&teacher.name) {
                let name = license.as_deref().unwrap_or_default();
                let record = self
                    .reviewed
                    .registry
                    .license(name, Collected::On(self.today));
                let family = record.and_then(|record| record.family.clone());
                materials.families.extend(family);
            }
            materials.weights.push(Licensed {
                name: teacher.model.clone(),
                license,
                clarified: clarified.get(&teacher.name).cloned(),
            });
        }
        licenses
    }

    /// What the recipe says, or else the model's own file. Texts that lie beside a model are noted.
    async fn license_of(
        &self,
        teacher: &TeacherSection,
        materials: &mut Materials,
    ) -> Option<String> {
        if !teacher.is_local() {
            return teacher.license.clone();
        }
        let source = Source::parse(&teacher.model).ok()?;
        let bar = FetchBar::new(&self.progress);
        let sha256 = teacher.sha256.as_deref();
        let folder = self.recipe.folder();
        let file = self.cache.fetch(&source, sha256, folder, &bar).await;
        let path = file.ok().map(|file| file.path);
        let own = path
            .as_deref()
            .and_then(|path| ModelFiles::open(path).ok())
            .and_then(|files| files.license);
        if let (Some(declared), Some(own)) = (&teacher.license, &own) {
            materials.tags.push(LicenseTags {
                model: teacher.model.clone(),
                declared: (RECIPE, declared.clone()),
                own: (OWN_FILE, own.clone()),
            });
        }
        let by = if teacher.license.is_some() {
            RECIPE
        } else {
            OWN_FILE
        };
        let license = teacher.license.clone().or(own);
        let Some(path) = &path else {
            return license;
        };
        let page = texts::page_tag(path);
        if let (Some(license), Some(page)) = (&license, &page) {
            materials.tags.push(LicenseTags {
                model: teacher.model.clone(),
                declared: (by, license.clone()),
                own: (PAGE, page.clone()),
            });
        }
        // What only the page says is no licence: it is asked for. That the text is another is told all the same.
        let tag = license.as_ref().or(page.as_ref()).map(String::as_str);
        materials
            .texts
            .extend(texts::beside(path, &teacher.name, tag));
        license
    }
}

fn clarify(list: &mut [Licensed], clarified: &BTreeMap<String, Clarified>) {
    for licensed in list {
        if let Some(clarified) = clarified.get(&licensed.name) {
            licensed.license = Some(clarified.license.clone());
            licensed.clarified = Some(clarified.clone());
        }
    }
}

fn origin(teacher: &TeacherSection, license: Option<String>, today: Date) -> Origin {
    let endpoint = teacher
        .endpoints()
        .into_iter()
        .find_map(|endpoint| endpoint.base_url);
    Origin {
        provider: teacher.provider.clone(),
        route: if teacher.is_local() {
            IN_PROCESS
        } else {
            "api"
        }
        .to_owned(),
        plan: teacher.plan.clone(),
        region: teacher.region.clone(),
        endpoint,
        license,
        clarified: None,
        source: None,
        model: teacher.model.clone(),
        collected: Collected::On(today),
        answers: 0,
        recorded: None,
    }
}
