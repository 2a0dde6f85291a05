//! The table of all ops.

pub use crate::op::entry::{AnyOp, Entry, ParamError, op};

use crate::op::{Ctx, Detached};

/// Every op, in the order of the reference page: sources, features, embeddings, clusters, metrics,
/// programs.
pub static OPS: &[Entry] = &[
    op::<crate::audio::synth::Synth>(),
    op::<crate::audio::irmas::Irmas>(),
    op::<crate::audio::irmas_test::IrmasTest>(),
    op::<crate::audio::audio_folder::AudioFolder>(),
    op::<crate::audio::manifest::Manifest>(),
    op::<crate::audio::audit::Audit>(),
    op::<crate::audio::pitch_shift::PitchShift>(),
    op::<crate::audio::time_stretch::TimeStretch>(),
    op::<crate::audio::mp3_compression::Mp3Compression>(),
    op::<crate::audio::synth_factors::SynthFactors>(),
    op::<crate::features::matrix::Matrix>(),
    op::<crate::features::log_mel::LogMel>(),
    op::<crate::features::chroma::Chroma>(),
    op::<crate::features::chroma_cqt::ChromaCqt>(),
    op::<crate::features::cqt::Cqt>(),
    op::<crate::features::mfcc::Mfcc>(),
    op::<crate::features::deltas::Deltas>(),
    op::<crate::features::pcen::Pcen>(),
    op::<crate::features::normalize::Normalize>(),
    op::<crate::features::shuffle::Shuffle>(),
    op::<crate::features::deform::Deform>(),
    op::<crate::embed::pca::Pca>(),
    op::<crate::embed::autoencoder::Autoencoder>(),
    op::<crate::embed::beta_vae::BetaVae>(),
    op::<crate::embed::onnx::Onnx>(),
    op::<crate::embed::reconstruction::Reconstruction>(),
    op::<crate::embed::umap::Umap>(),
    op::<crate::embed::tsne::Tsne>(),
    op::<crate::cluster::kmeans::Kmeans>(),
    op::<crate::cluster::agglomerative::Agglomerative>(),
    op::<crate::cluster::gaussian_mixture::GaussianMixture>(),
    op::<crate::cluster::dbscan::Dbscan>(),
    op::<crate::cluster::hdbscan::Hdbscan>(),
    op::<crate::cluster::optics::Optics>(),
    op::<crate::cluster::spectral::Spectral>(),
    op::<crate::cluster::idec::Idec>(),
    op::<crate::metrics::split::Split>(),
    op::<crate::metrics::metrics::Metrics>(),
    op::<crate::metrics::gaussian_reference::GaussianReference>(),
    op::<crate::metrics::controls::Controls>(),
    op::<crate::metrics::bootstrap::Bootstrap>(),
    op::<crate::metrics::probe::Probe>(),
    op::<crate::metrics::tagging::Tagging>(),
    op::<crate::metrics::disentanglement::Disentanglement>(),
    op::<crate::metrics::silhouette_samples::SilhouetteSamples>(),
    op::<crate::metrics::composition::Composition>(),
    op::<crate::metrics::agreement::Agreement>(),
    op::<crate::metrics::consensus::Consensus>(),
    op::<crate::metrics::choose_k::ChooseK>(),
    op::<crate::programs::command::Command>(),
];

/// The op of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    OPS.iter().find(|entry| entry.name == name)
}

impl Detached {
    /// A context with this seed and all ops, and without any services.
    pub fn with_seed(seed: u64) -> Ctx<'static> {
        Ctx::detached(seed, OPS)
    }
}
