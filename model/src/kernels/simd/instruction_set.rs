//! Which instructions the processor has, and which of them kernels use.

use std::sync::OnceLock;

/// The widest f32 instructions that kernels use, narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InstructionSet {
    /// What every processor of the target has.
    Portable,
    /// 4 lanes with fused multiply-add.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// 8 lanes with fused multiply-add and half floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 16 lanes with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// What every kernel goes by, from the first that asks on.
static IN_USE: OnceLock<InstructionSet> = OnceLock::new();

/// Why kernels do not take the path that was named.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InstructionSetError {
    /// No path has this name.
    #[error("there are no kernels for `{name}`\nhint: name one of {known}")]
    Unknown {
        /// What was named.
        name: String,
        /// The names of this build, in a sentence.
        known: String,
    },
    /// The processor lacks the instructions.
    #[error("this processor does not have what `{name}` needs\nhint: name one of {available}")]
    Unavailable {
        /// What was named.
        name: &'static str,
        /// What the processor has, in a sentence.
        available: String,
    },
    /// Kernels have run, or another path was named before.
    #[error("kernels use `{in_use}` already; name a path before anything is computed")]
    TooLate {
        /// Their path.
        in_use: &'static str,
    },
}

/// Has all kernels of this process take the path called `name`, `portable`, `neon`, `avx2` or `avx512`, where they would take
/// the widest that the processor has. That is for comparing paths, and for looking at one that other machines take.
///
/// It has to be called before anything is computed.
///
/// # Errors
/// A name that this build does not know or the processor does not have, and a call that comes too late.
pub fn use_instruction_set(name: &str) -> Result<(), InstructionSetError> {
    let known = InstructionSet::ALL.iter().find(|set| set.key() == name);
    let Some(&chosen) = known else {
        return Err(InstructionSetError::Unknown {
            name: name.to_owned(),
            known: names(InstructionSet::ALL),
        });
    };
    let available = InstructionSet::available();
    if !available.contains(&chosen) {
        return Err(InstructionSetError::Unavailable {
            name: chosen.key(),
            available: names(&available),
        });
    }
    let in_use = *IN_USE.get_or_init(|| chosen);
    if in_use == chosen {
        Ok(())
    } else {
        Err(InstructionSetError::TooLate {
            in_use: in_use.key(),
        })
    }
}

fn names(sets: &[InstructionSet]) -> String {
    let names: Vec<String> = sets.iter().map(|set| format!("`{}`", set.key())).collect();
    names.join(", ")
}

impl InstructionSet {
    /// Every path of this build.
    const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
    ];

    /// What kernels use: what was named to [`use_instruction_set`], else what this processor has, detected once.
    pub(crate) fn detect() -> Self {
        #[cfg(test)]
        if let Some(instructions) = CHOSEN.get() {
            return instructions;
        }
        *IN_USE.get_or_init(Self::probe)
    }

    #[cfg(target_arch = "x86_64")]
    fn probe() -> Self {
        let fused = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (fused, wide) {
            (true, true) => Self::Avx512,
            (true, false) => Self::Avx2,
            (false, _) => Self::Portable,
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn probe() -> Self {
        if std::arch::is_aarch64_feature_detected!("neon") {
            Self::Neon
        } else {
            Self::Portable
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn probe() -> Self {
        Self::Portable
    }

    /// Every path that this processor can take.
    pub(crate) fn available() -> Vec<Self> {
        let widest = Self::probe();
        let sets = Self::ALL.iter().copied();
        sets.filter(|set| *set <= widest).collect()
    }

    /// The name that a person gives it.
    fn key(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }

    /// The name that reports show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "NEON",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
        }
    }

    /// The name that reports show where products of bfloat16 are computed in f32.
    pub(crate) fn name_of_emulated_bf16(self) -> &'static str {
        match self {
            Self::Portable => "portable, BF16 emulated",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "NEON, BF16 emulated",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2, BF16 emulated",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512, BF16 emulated",
        }
    }
}

#[cfg(test)]
thread_local! {
    /// What a test has this thread believe.
    static CHOSEN: std::cell::Cell<Option<InstructionSet>> = const { std::cell::Cell::new(None) };
}

/// Runs `test` once for every path that this processor can take.
#[cfg(test)]
pub(crate) fn on_every_path(test: impl Fn(InstructionSet) + Sync) {
    for instructions in InstructionSet::available() {
        with_instructions(instructions, || test(instructions));
    }
}

/// Runs `test` on a few threads that believe the processor to have `instructions` and nothing beyond.
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) fn with_instructions<T: Send>(
    instructions: InstructionSet,
    test: impl FnOnce() -> T + Send,
) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
    let pool = pool.start_handler(move |_| CHOSEN.set(Some(instructions)));
    pool.build().unwrap().install(test)
}

/// Whether the processor multiplies pairs of bfloat16 into f32 sums, and kernels may have it do so.
pub(crate) fn has_bf16_dot_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        InstructionSet::detect() == InstructionSet::Avx512 && is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_path_is_named_once_and_before_the_first_kernel() {
        let unknown = use_instruction_set("mmx").unwrap_err().to_string();
        assert!(unknown.contains("no kernels for `mmx`"), "{unknown}");
        assert!(unknown.contains("`portable`"), "{unknown}");
        for set in InstructionSet::ALL {
            if !InstructionSet::available().contains(set) {
                let error = use_instruction_set(set.key()).unwrap_err();
                let lacks = matches!(error, InstructionSetError::Unavailable { name, .. } if name == set.key());
                assert!(lacks, "{error}");
            }
        }
        // From here on it is what the processor has, for all tests that share this process.
        let in_use = InstructionSet::detect();
        assert_eq!(in_use, InstructionSet::probe());
        for set in InstructionSet::available() {
            let expected = if set == in_use {
                Ok(())
            } else {
                let in_use = in_use.key();
                Err(InstructionSetError::TooLate { in_use })
            };
            assert_eq!(use_instruction_set(set.key()), expected);
        }
    }

    #[test]
    fn a_thread_that_believes_in_less_gets_less() {
        on_every_path(|instructions| {
            assert_eq!(InstructionSet::detect(), instructions);
            let pairs = has_bf16_dot_products();
            assert!(!pairs || instructions.key() == "avx512");
        });
    }
}
