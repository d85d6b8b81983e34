//! How many threads candle takes for operations of its own.
#![expect(
    unsafe_code,
    reason = "candle reads the number of its threads from the environment alone"
)]

/// Read once, when candle first needs its threads.
const VARIABLE: &str = "CANDLE_NUM_THREADS";

/// Has candle do what is left to it on the calling thread, unless the environment says otherwise. Whether that is so.
///
/// In training that is the addition of gradients. Candle's threads wait for the next one by spinning, beside rayon's,
/// which have all of the processor otherwise: on two cores that takes a sixth of the step.
///
/// It has to be called first thing in a program: where there is another thread, or one cannot tell, it does nothing.
pub fn keep_candle_on_one_thread() -> bool {
    if std::env::var_os(VARIABLE).is_some() || !is_only_thread() {
        return false;
    }
    // SAFETY: nobody else can read or write the environment meanwhile, because this is the only thread.
    unsafe { std::env::set_var(VARIABLE, "1") };
    true
}

#[cfg(target_os = "linux")]
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// The system keeps threads apart by itself, says the documentation of [`std::env::set_var`].
#[cfg(windows)]
fn is_only_thread() -> bool {
    true
}

#[cfg(not(any(target_os = "linux", windows)))]
fn is_only_thread() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn beside_another_thread_nothing_is_set() {
        let (wait, go_on) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                wait.wait();
                go_on.wait();
            });
            wait.wait();
            let before = std::env::var_os(VARIABLE);
            assert!(!keep_candle_on_one_thread());
            assert_eq!(std::env::var_os(VARIABLE), before);
            go_on.wait();
        });
    }
}
