//! The thread that decodes: it owns the batch, takes questions from a channel and answers each on its own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use limbeck_model::{Batcher, Decoder, OutputResult, Prefix, Request, Task, Tokenizer};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::shared_prefix::SharedPrefixes;
use crate::AskError;
use crate::error::in_full;

/// How long an idle worker waits for company after each question before it begins. Questions of a harvest arrive
/// within microseconds of one another; a pass over one of them costs nearly as much as a pass over thirty.
const GATHER: Duration = Duration::from_millis(2);

/// One question on its way.
pub(super) struct Job {
    pub(super) tokens: Vec<u32>,
    pub(super) task: Task,
    pub(super) cancel: CancellationToken,
    pub(super) reply: oneshot::Sender<Result<Done, AskError>>,
}

/// What came out of a job.
pub(super) struct Done {
    /// Tokens of the whole prompt.
    pub(super) prompt_tokens: usize,
    pub(super) result: OutputResult,
    /// From entering the batch to leaving it.
    pub(super) latency: Duration,
}

/// A job in the batch.
struct Working {
    reply: oneshot::Sender<Result<Done, AskError>>,
    prompt_tokens: usize,
    begun: Instant,
}

pub(super) struct Worker {
    decoder: Arc<Decoder>,
    tokenizer: Option<Tokenizer>,
    batcher: Batcher,
    /// How many jobs the batch works on together.
    capacity: usize,
    jobs: mpsc::Receiver<Job>,
    /// For waiting with a limit in time; nothing else runs on it.
    timer: Runtime,
    waiting: VecDeque<Job>,
    most_waiting: usize,
    working: HashMap<u64, Working>,
    next_id: u64,
    prefixes: SharedPrefixes<Arc<Prefix>>,
}

impl Worker {
    /// `tokenizer`: needed for stop texts only. `most_waiting`: how many jobs are taken out of the channel before there is room for them in the batch.
    pub(super) fn new(
        decoder: Arc<Decoder>,
        tokenizer: Option<Tokenizer>,
        capacity: usize,
        most_waiting: usize,
        jobs: mpsc::Receiver<Job>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            batcher: Batcher::new(decoder.clone(), tokenizer.clone(), capacity),
            decoder,
            tokenizer,
            capacity,
            jobs,
            timer: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?,
            waiting: VecDeque::new(),
            most_waiting,
            working: HashMap::new(),
            next_id: 0,
            prefixes: SharedPrefixes::new(),
        })
    }

    /// Answers until nobody can ask any more.
    pub(super) fn run(mut self) {
        while self.take_in() {
            self.drop_unwanted();
            self.fill_batch();
            self.step();
        }
    }

    /// Takes jobs out of the channel, waiting for the first if there is nothing else to do. `false` if there is
    /// nothing to do and never will be.
    fn take_in(&mut self) -> bool {
        let known = self.waiting.len();
        if self.working.is_empty() && self.waiting.is_empty() {
            let Some(first) = self.jobs.blocking_recv() else {
                return false;
            };
            self.waiting.push_back(first);
            while self.waiting.len() < self.most_waiting {
                let next = self
                    .timer
                    .block_on(async { timeout(GATHER, self.jobs.recv()).await });
                let Ok(Some(job)) = next else { break };
                self.waiting.push_back(job);
            }
        } else {
            while self.waiting.len() < self.most_waiting
                && let Ok(job) = self.jobs.try_recv()
            {
                self.waiting.push_back(job);
            }
        }
        if self.waiting.len() > known {
            self.read_shared_prefixes();
        }
        true
    }

    /// Reads what many of the waiting jobs begin with.
    fn read_shared_prefixes(&mut self) {
        // One a call: where more beginnings are asked for than are kept, each would push out another without end.
        let waiting: Vec<&[u32]> = self
            .waiting
            .iter()
            .map(|job| job.tokens.as_slice())
            .collect();
        let Some(tokens) = self.prefixes.worth_reading(&waiting) else {
            return;
        };
        // If it cannot be read, neither can the questions, and they say why.
        if let Ok(prefix) = self.decoder.prefix(&tokens) {
            self.prefixes.keep(tokens, prefix);
        }
    }

    /// Lets go of what nobody waits for, and of what was stopped before it was begun.
    fn drop_unwanted(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for job in waiting {
            if job.cancel.is_cancelled() {
                answer(job.reply, Err(AskError::Cancelled));
            } else if !job.reply.is_closed() {
                self.waiting.push_back(job);
            }
        }
        let Self {
            working, batcher, ..
        } = self;
        working.retain(|id, job| {
            let wanted = !job.reply.is_closed();
            if !wanted {
                batcher.cancel(*id);
            }
            wanted
        });
    }

    fn fill_batch(&mut self) {
        while self.batcher.has_room()
            && let Some(job) = self.waiting.pop_front()
        {
            self.begin(job);
        }
    }

    fn begin(&mut self, job: Job) {
        let id = self.next_id;
        self.next_id += 1;
        let prompt_tokens = job.tokens.len();
        let (prefix, tokens) = match self.prefixes.longest(&job.tokens) {
            Some((length, prefix)) => (Some(prefix), job.tokens[length..].to_vec()),
            None => (None, job.tokens),
        };
        let begun = Instant::now();
        match self.batcher.submit(Request {
            id,
            prefix,
            tokens,
            task: job.task,
        }) {
            Ok(()) => {
                self.working.insert(
                    id,
                    Working {
                        reply: job.reply,
                        prompt_tokens,
                        begun,
                    },
                );
            }
            Err(error) => answer(
                job.reply,
                Err(AskError::Decode {
                    message: in_full(&error),
                }),
            ),
        }
    }

    fn step(&mut self) {
        match self.batcher.step() {
            Ok(outputs) => {
                for output in outputs {
                    let Some(job) = self.working.remove(&output.id) else {
                        continue;
                    };
                    let done = Done {
                        prompt_tokens: job.prompt_tokens,
                        result: output.result,
                        latency: job.begun.elapsed(),
                    };
                    answer(job.reply, Ok(done));
                }
            }
            Err(error) => {
                // A failed pass leaves every sequence at an unknown place: all of them fail, and the next begin anew.
                let message = in_full(&error);
                self.batcher =
                    Batcher::new(self.decoder.clone(), self.tokenizer.clone(), self.capacity);
                for (_, job) in self.working.drain() {
                    answer(
                        job.reply,
                        Err(AskError::Decode {
                            message: message.clone(),
                        }),
                    );
                }
            }
        }
    }
}

/// Sends an answer; that nobody waits for it any more is no failure.
fn answer(reply: oneshot::Sender<Result<Done, AskError>>, result: Result<Done, AskError>) {
    drop(reply.send(result));
}

#[cfg(test)]
mod tests {
    use limbeck_model::Precision;
    use limbeck_model::testing::{tiny_config, tiny_weights};

    use super::*;

    type Reply = oneshot::Receiver<Result<Done, AskError>>;

    fn worker(capacity: usize) -> (Worker, mpsc::Sender<Job>) {
        let config = tiny_config();
        let decoder = Decoder::load(&config, &tiny_weights(&config, 1), Precision::F32).unwrap();
        let (sender, receiver) = mpsc::channel(64);
        (
            Worker::new(Arc::new(decoder), None, capacity, 64, receiver).unwrap(),
            sender,
        )
    }

    fn job(tokens: Vec<u32>, cancel: &CancellationToken) -> (Job, Reply) {
        let (reply, answer) = oneshot::channel();
        let task = Task::Choose {
            choices: vec![vec![70, 71], vec![72]],
        };
        (
            Job {
                tokens,
                task,
                cancel: cancel.clone(),
                reply,
            },
            answer,
        )
    }

    /// Sends jobs with these prompts; returns where their answers come.
    fn send(
        sender: &mpsc::Sender<Job>,
        prompts: Vec<Vec<u32>>,
        cancel: &CancellationToken,
    ) -> Vec<Reply> {
        let send = |tokens| {
            let (job, answer) = job(tokens, cancel);
            assert!(sender.try_send(job).is_ok());
            answer
        };
        prompts.into_iter().map(send).collect()
    }

    #[test]
    fn it_takes_in_all_that_wait_and_reads_what_they_share() {
        let (mut worker, sender) = worker(4);
        let head: Vec<u32> = (10..40).collect();
        let prompts = (0..12)
            .map(|item| [head.clone(), vec![100 + item, 50]].concat())
            .collect();
        let answers = send(&sender, prompts, &CancellationToken::new());
        assert!(worker.take_in());
        assert_eq!(worker.waiting.len(), 12);
        let shared = worker.prefixes.longest(&[head.as_slice(), &[200]].concat());
        assert_eq!(shared.map(|(length, _)| length), Some(30));
        drop(sender);
        worker.run();
        for mut answer in answers {
            assert_eq!(
                answer.try_recv().unwrap().unwrap().prompt_tokens,
                32,
                "shared tokens count as well"
            );
        }
    }

    #[test]
    fn what_waits_is_given_back_when_it_is_cancelled_and_what_was_begun_is_finished() {
        let (mut worker, sender) = worker(2);
        let cancel = CancellationToken::new();
        let answers = send(
            &sender,
            (0..5).map(|item| vec![60, 61 + item]).collect(),
            &cancel,
        );
        assert!(worker.take_in());
        worker.fill_batch();
        cancel.cancel();
        drop(sender);
        worker.run();
        let finished: Vec<bool> = answers
            .into_iter()
            .map(|mut answer| match answer.try_recv().unwrap() {
                Ok(_) => true,
                Err(AskError::Cancelled) => false,
                Err(error) => panic!("{error}"),
            })
            .collect();
        assert_eq!(finished, [true, true, false, false, false]);
    }

    #[test]
    fn what_nobody_waits_for_leaves_the_batch() {
        let (mut worker, sender) = worker(2);
        let mut answers = send(
            &sender,
            vec![vec![60], vec![61], vec![62]],
            &CancellationToken::new(),
        );
        assert!(worker.take_in());
        worker.fill_batch();
        assert!(!worker.batcher.has_room());
        drop(answers.remove(0));
        drop(answers.pop());
        worker.drop_unwanted();
        assert!(worker.batcher.has_room());
        assert_eq!((worker.working.len(), worker.waiting.len()), (1, 0));
        drop(answers);
        worker.drop_unwanted();
        assert!(worker.batcher.is_idle());
    }

    #[test]
    fn it_ends_when_nobody_can_ask_any_more() {
        let (worker, sender) = worker(2);
        let thread = std::thread::spawn(move || worker.run());
        drop(sender);
        thread.join().unwrap();
    }
}
