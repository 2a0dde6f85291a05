//! Times of launches on a GPU.

use super::super::driver::{CudaError, Driver, Launch, TuningContext};
use super::{Gpu, driver_error};
use cudarc::driver::{result, sys};

impl Gpu {
    /// The GPU and the compiler by all that the time of a kernel depends on; none if the compiler is unknown.
    pub(super) fn own_tuning_context(&self) -> Option<TuningContext> {
        let compiler = self.nvrtc.file_version().filter(|_| self.tunes)?;
        let device = format!("{} sm_{} {compiler}", self.info.name, self.architecture);
        Some(TuningContext { folder: self.cubins.clone(), device })
    }

    /// Runs a launch so many times, and gives the seconds of each.
    ///
    /// # Safety
    /// As for [`Driver::launch`].
    pub(super) unsafe fn seconds(
        &mut self,
        launch: &Launch,
        times: usize,
    ) -> Result<Vec<f64>, CudaError> {
        let mut marks = Vec::new();
        // SAFETY: the caller vouches for the launch.
        let found = unsafe { self.seconds_between(&mut marks, launch, times) };
        for mark in marks {
            // SAFETY: each was made below, and nothing waits for it any more. One that is left of a lost GPU frees nothing.
            let _ = unsafe { result::event::destroy(mark) };
        }
        found
    }

    /// The same with events before, between and after the launches. All are queued before any is waited for, so that the GPU
    /// goes from one to the next without the host.
    ///
    /// # Safety
    /// As for [`Driver::launch`].
    unsafe fn seconds_between(
        &mut self,
        marks: &mut Vec<sys::CUevent>,
        launch: &Launch,
        times: usize,
    ) -> Result<Vec<f64>, CudaError> {
        for _ in 0..=times {
            let mark = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
            marks.push(mark.map_err(|error| driver_error("cuEventCreate", &error))?);
        }
        for (turn, mark) in marks.iter().enumerate() {
            if turn > 0 {
                // SAFETY: the caller vouches for the launch.
                unsafe { self.launch(launch.clone()) }?;
            }
            // SAFETY: event and stream are alive.
            unsafe { result::event::record(*mark, self.stream) }
                .map_err(|error| driver_error("cuEventRecord", &error))?;
        }
        self.wait()?;
        let between = |pair: &[sys::CUevent]| {
            // SAFETY: both events are alive, and the stream has passed them.
            let milliseconds = unsafe { result::event::elapsed(pair[0], pair[1]) };
            let milliseconds =
                milliseconds.map_err(|error| driver_error("cuEventElapsedTime", &error))?;
            Ok(f64::from(milliseconds) / 1000.0)
        };
        marks.windows(2).map(between).collect()
    }
}
