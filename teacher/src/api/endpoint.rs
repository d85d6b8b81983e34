//! One address of a service: its limits, its health, and which of several is asked next.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use reqwest::Client;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client;
use super::key::ApiKey;
use super::options::{ApiEndpoint, ApiError, ApiOptions};
use crate::pace::{Limits, Pacer, Purse};
use crate::retry::{Breaker, Door, Slammed};
use crate::wire;

/// An address that led so many questions elsewhere, with no answer between them, does so with all.
const MOST_REDIRECTED: usize = 5;

/// One address, ready to be asked.
pub(super) struct Endpoint {
    /// Host and path.
    pub(super) name: String,
    pub(super) address: wire::Endpoint,
    pub(super) key: Option<ApiKey>,
    /// Its own, where they are not the teacher's.
    pub(super) limits: Option<Limits>,
    pub(super) key_header: Option<(HeaderName, HeaderValue)>,
    pub(super) client: Client,
    pub(super) pacer: Arc<Pacer>,
    /// Questions that wait for it or are with it.
    pub(super) busy: AtomicUsize,
    breaker: Mutex<Breaker>,
    /// The questions that it led elsewhere since it last answered, by their seeds; no more than [`MOST_REDIRECTED`].
    redirected: Mutex<HashSet<u64>>,
    started: Instant,
}

impl Endpoint {
    fn new(options: &ApiOptions, at: &ApiEndpoint, pacer: Arc<Pacer>) -> Result<Self, ApiError> {
        let address = wire::Endpoint::new(options.preset, at.base_url.as_deref())?;
        let base = address.base();
        let name = format!("{}{}", address.host(), base.path().trim_end_matches('/'));
        let on_this_machine = match base.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let key_header = match &at.key {
            None => None,
            Some(key) if base.scheme() == "http" && !on_this_machine => {
                return Err(ApiError::PlainHttp {
                    alias: key.alias().to_owned(),
                    endpoint: name,
                });
            }
            Some(key) => {
                let header = options.preset.key_header;
                Some((HeaderName::from_static(header.name()), key.header(header)?))
            }
        };
        let concurrent = at.limits.as_ref().unwrap_or(&options.limits).concurrent;
        let client = client::client(&options.timeouts, concurrent, on_this_machine)
            .map_err(ApiError::Client)?;
        Ok(Self {
            name,
            address,
            key: at.key.clone(),
            limits: at.limits.clone(),
            key_header,
            client,
            pacer,
            busy: AtomicUsize::new(0),
            breaker: Mutex::default(),
            redirected: Mutex::default(),
            started: Instant::now(),
        })
    }

    /// It failed in a way that speaks against its health; for how long it is left alone from now on.
    pub(super) fn failed(&self) -> Option<Duration> {
        let slammed = self.breaker().failed(self.started.elapsed());
        slammed.map(|Slammed(pause)| pause)
    }

    /// It answered. Whether it had been left alone.
    pub(super) fn answered(&self) -> bool {
        self.lock_redirected().clear();
        self.breaker().answered()
    }

    /// It led a question elsewhere.
    pub(super) fn redirected(&self, question: u64) {
        let mut redirected = self.lock_redirected();
        if redirected.len() < MOST_REDIRECTED {
            redirected.insert(question);
        }
    }

    /// Whether it leads every question elsewhere, as far as one can tell.
    fn leads_elsewhere(&self) -> bool {
        self.lock_redirected().len() >= MOST_REDIRECTED
    }

    fn lock_redirected(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.redirected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A question left it without having learnt whether it is well.
    pub(super) fn undecided(&self) {
        self.breaker().undecided();
    }

    fn look(&self) -> Door {
        self.breaker().look(self.started.elapsed())
    }

    fn enter(&self) -> Door {
        self.breaker().enter(self.started.elapsed())
    }

    /// Nothing that holds it can panic half-way, so the poison is ignored.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All addresses of one teacher.
pub(super) struct Endpoints {
    all: Vec<Arc<Endpoint>>,
    /// One for each key.
    pub(super) pacers: Vec<Arc<Pacer>>,
}

/// Why no endpoint was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEndpoint {
    Cancelled,
    AllDead,
    /// A question before has ended with that as its error.
    AllLeadElsewhere,
}

impl Endpoints {
    pub(super) fn new(options: &ApiOptions, purse: &Arc<Purse>) -> Result<Self, ApiError> {
        let mut by_key: Vec<(&str, Arc<Pacer>)> = Vec::new();
        let mut endpoints = Self {
            all: Vec::new(),
            pacers: Vec::new(),
        };
        for at in &options.endpoints {
            let alias = at.key.as_ref().map(ApiKey::alias);
            let shared = by_key
                .iter()
                .find(|(known, _)| at.limits.is_none() && Some(*known) == alias);
            let pacer = if let Some((_, pacer)) = shared {
                pacer.clone()
            } else {
                let limits = at.limits.as_ref().unwrap_or(&options.limits);
                limits.check()?;
                let pacer = Pacer::new(limits, true, purse.clone());
                endpoints.pacers.push(pacer.clone());
                if let (Some(alias), None) = (alias, &at.limits) {
                    by_key.push((alias, pacer.clone()));
                }
                pacer
            };
            let endpoint = Endpoint::new(options, at, pacer)?;
            endpoints.all.push(Arc::new(endpoint));
        }
        Ok(endpoints)
    }

    pub(super) fn all(&self) -> &[Arc<Endpoint>] {
        &self.all
    }

    /// Whether all of them lead every question elsewhere.
    pub(super) fn lead_elsewhere(&self) -> bool {
        self.all.iter().all(|endpoint| endpoint.leads_elsewhere())
    }

    /// The one that will answer soonest, as far as one can tell: not left alone, not asked to be, least busy; another
    /// than `avoid` if there is one. Waits while all are left alone.
    pub(super) async fn choose(
        &self,
        avoid: Option<&Arc<Endpoint>>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Endpoint>, NoEndpoint> {
        loop {
            if self.lead_elsewhere() {
                return Err(NoEndpoint::AllLeadElsewhere);
            }
            let open = self
                .all
                .iter()
                .filter(|endpoint| matches!(endpoint.look(), Door::Open | Door::Trial))
                .min_by_key(|endpoint| {
                    let avoided = avoid.is_some_and(|avoid| Arc::ptr_eq(avoid, endpoint));
                    let busy = endpoint.busy.load(Ordering::Relaxed);
                    (endpoint.pacer.paused(), avoided, busy)
                });
            if let Some(endpoint) = open
                && matches!(endpoint.enter(), Door::Open | Door::Trial)
            {
                return Ok(endpoint.clone());
            }
            let waits = self
                .all
                .iter()
                .filter_map(|endpoint| match endpoint.look() {
                    Door::Shut(wait) => Some(wait),
                    // Taken by another between the two looks.
                    Door::Open | Door::Trial => Some(Duration::from_millis(1)),
                    Door::Dead => None,
                });
            let Some(wait) = waits.min() else {
                return Err(NoEndpoint::AllDead);
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(NoEndpoint::Cancelled),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
