//! Where a student is trained.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, utils};
use serde::{Deserialize, Serialize};

use super::TrainError;

/// A device that students are trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainDevice {
    /// The processor, with kernels of our own.
    #[default]
    Cpu,
    /// The first of Nvidia's cards, with candle's operations; needs the feature `cuda`.
    Cuda,
    /// Apple's graphics processor, with candle's operations; needs the feature `metal`.
    Metal,
    /// The first of `cuda` and `metal` that this program was built for and the machine has, else the processor.
    Auto,
}

impl TrainDevice {
    /// Whether this can only be the processor.
    pub fn is_cpu(&self) -> bool {
        *self == Self::Cpu
    }

    /// What it is on this machine, never [`TrainDevice::Auto`].
    ///
    /// # Errors
    /// [`TrainError::DeviceFeature`] where this program was built without it, [`TrainError::Device`] where there is none.
    pub fn resolve(self) -> Result<Self, TrainError> {
        if self == Self::Auto {
            let mut others = [Self::Cuda, Self::Metal].into_iter();
            return Ok(others
                .find(|device| device.open().is_ok())
                .unwrap_or(Self::Cpu));
        }
        self.open().map(|_| self)
    }

    /// The device, which must be there.
    ///
    /// # Errors
    /// Those of [`TrainDevice::resolve`].
    pub(super) fn open(self) -> Result<Device, TrainError> {
        type New = fn(usize) -> candle_core::Result<Device>;
        let (built, new): (bool, New) = match self {
            Self::Cpu => return Ok(Device::Cpu),
            Self::Cuda => (utils::cuda_is_available(), Device::new_cuda),
            Self::Metal => (utils::metal_is_available(), Device::new_metal),
            Self::Auto => return self.resolve()?.open(),
        };
        if !built {
            return Err(TrainError::DeviceFeature { device: self });
        }
        quietly(|| new(0)).map_err(|reason| TrainError::Device {
            device: self,
            reason,
        })
    }
}

/// What opens a device, or why it does not open. Where a machine has no device at all, drivers' bindings panic: that is
/// an answer like others here, and is not to be printed.
fn quietly<T>(open: impl FnOnce() -> candle_core::Result<T>) -> Result<T, String> {
    static TURNS: Mutex<()> = Mutex::new(());
    let _turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let opened = panic::catch_unwind(AssertUnwindSafe(open));
    panic::set_hook(hook);
    match opened {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err("there is none".to_owned()),
    }
}

impl std::fmt::Display for TrainDevice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
            Self::Auto => "auto",
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_device_that_this_build_does_not_know_names_its_feature() {
        assert!(TrainDevice::Cpu.open().unwrap().is_cpu());
        for (device, built) in [
            (TrainDevice::Cuda, utils::cuda_is_available()),
            (TrainDevice::Metal, utils::metal_is_available()),
        ] {
            if !built {
                let error = device.open().unwrap_err().to_string();
                assert!(error.contains(&format!("--features {device}")), "{error}");
            }
        }
    }

    #[test]
    fn auto_is_a_device_that_opens() {
        let device = TrainDevice::Auto.resolve().unwrap();
        assert_ne!(device, TrainDevice::Auto);
        device.open().unwrap();
        let built = utils::cuda_is_available() || utils::metal_is_available();
        assert!(built || device.is_cpu(), "{device}");
    }

    #[test]
    fn a_driver_that_panics_has_no_device() {
        let found: Result<(), String> = quietly(|| Vec::new().swap_remove(0));
        assert_eq!(found, Err("there is none".to_owned()));
        assert_eq!(quietly(|| Ok(3)), Ok(3));
    }
}
