//! Limits for a teacher that keeps none itself.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use limbeck_store::now;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::pacer::{NotBegun, Pacer};
use super::spend::Purse;
use super::state::{Demand, Used};
use crate::{Ask, AskError, Asked, Teacher, TeacherIdentity};

/// Asks another teacher within limits. Its places are its own matter, so `concurrent` is not looked at here.
pub(crate) struct Paced {
    teacher: Arc<dyn Teacher>,
    pacer: Arc<Pacer>,
}

impl Paced {
    pub(crate) fn new(teacher: Arc<dyn Teacher>, limits: &Limits) -> Self {
        Self {
            teacher,
            pacer: Pacer::new(limits, false, Purse::new(limits)),
        }
    }
}

#[async_trait]
impl Teacher for Paced {
    fn identity(&self) -> &TeacherIdentity {
        self.teacher.identity()
    }

    async fn ask(&self, ask: &Ask, cancel: &CancellationToken) -> Asked {
        let (started_at, begun) = (now(), Instant::now());
        // The tokens of a local prompt are counted by the teacher only, so its bytes stand for them until then.
        let demand = Demand {
            input_tokens: ask.prompt_bytes(),
            output_tokens: u64::from(ask.parameters.max_tokens),
            cost: 0,
        };
        let reservation = match self.pacer.reserve(demand, cancel).await {
            Ok(reservation) => reservation,
            Err(NotBegun::Cancelled) => {
                return Asked::once(started_at, begun, Err(AskError::Cancelled));
            }
            Err(NotBegun::Refused(refusal)) => {
                return Asked::once(started_at, begun, Err(refusal.into()));
            }
        };
        let waited = begun.elapsed();
        let mut asked = self.teacher.ask(ask, cancel).await;
        match &asked.result {
            Ok(answer) => reservation.answered(Demand {
                input_tokens: u64::from(answer.trace.prompt_tokens),
                output_tokens: u64::from(answer.trace.completion_tokens),
                cost: 0,
            }),
            Err(_) => {
                reservation.failed(Used::Nothing, false);
            }
        }
        if let Some(first) = asked.tries.first_mut() {
            first.waited += waited;
        }
        asked
    }

    fn queue_ahead(&self) -> usize {
        self.teacher.queue_ahead()
    }
}
