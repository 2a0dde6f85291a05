//! Tests of dense and normalising layers against their definition and finite differences.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

use super::*;
use crate::math::random::{Purpose, Random};
use proptest::prelude::*;

/// Dense layers and batch normalisation by their definition, in double precision.
fn oracle(layer: &Layer, parameters: &[f64], input: &[f64], batch: usize) -> Vec<f64> {
    let (len, width) = (layer.output_len(), layer.input_len());
    let weights = layer.weight_len();
    let (area, count) = (len / layer.output[0], (batch * len / layer.output[0]) as f64);
    let over = |c: usize, term: &dyn Fn(f64) -> f64| -> f64 {
        let values = (0..batch).flat_map(|b| &input[b * width + c * area..][..area]);
        values.map(|x| term(*x)).sum::<f64>() / count
    };
    let mut out = Vec::new();
    for (b, o) in (0..batch).flat_map(|b| (0..len).map(move |o| (b, o))) {
        let row = &input[b * width..][..width];
        let value = if layer.operation == Operation::Linear {
            let weight = &parameters[o * width..][..width];
            weight.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + parameters[weights + o]
        } else {
            let c = o / area;
            let mean = over(c, &|x| x);
            let variance = over(c, &|x| (x - mean).powi(2));
            (row[o] - mean) / (variance + 1e-5).sqrt() * parameters[c] + parameters[weights + c]
        };
        out.push(if layer.relu { value.max(0.0) } else { value });
    }
    out
}

fn close(got: &[f32], expected: &[f64]) -> Result<(), TestCaseError> {
    let scale = expected.iter().fold(1e-2_f64, |most, x| most.max(x.abs()));
    for (got, expected) in got.iter().zip(expected) {
        prop_assert!((f64::from(*got) - expected).abs() < 1e-3 * scale, "{got} {expected}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn dense_and_normalising_layers_agree_with_finite_differences(
        (batch, inside, out) in (2..5usize, 1..4usize, 1..7usize), norm: bool, relu: bool,
        add: bool, seed: u64,
    ) {
        let mut layer = Layer {
            name: String::new(),
            operation: if norm { Operation::BatchNorm2d } else { Operation::Linear },
            input: if norm { [inside, 2, out] } else { [inside, 1, 1] },
            output: if norm { [inside, 2, out] } else { [out, 1, 1] },
            relu,
            parameters: 0..0,
            statistics: 0..2 * inside,
        };
        let count = layer.weight_len() + if norm { inside } else { out };
        layer.parameters = 0..count;
        let mut random = Random::new(seed, Purpose::Null, 0);
        let mut draw = |n: usize| -> Vec<f64> {
            (0..n).map(|_| f64::from(random.between(-1.0, 1.0) as f32)).collect()
        };
        let (len, width) = (layer.output_len(), layer.input_len());
        let (parameters, input, slopes) = (draw(count), draw(batch * width), draw(batch * len));
        let bent = Layer { relu: false, ..layer.clone() };
        let before = oracle(&bent, &parameters, &input, batch);
        prop_assume!(!relu || before.iter().all(|x| x.abs() > 1e-3));
        let single = |x: &[f64]| -> Vec<f32> { x.iter().map(|x| *x as f32).collect() };

        let mut stage = stages(std::slice::from_ref(&layer)).pop().unwrap();
        let (own, given, mut room) = (single(&parameters), single(&input), Vec::new());
        let rows = Rows::new(&given, width);
        stage.forward(&own, &mut vec![0.0; 2 * inside], true, rows, batch, &mut room);
        close(&stage.values, &oracle(&layer, &parameters, &input, batch))?;

        let slope = |values: &[f64], loss: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> {
            (0..values.len()).map(|at| {
                let moved = |by: f64| -> f64 {
                    let mut values = values.to_vec();
                    values[at] += by;
                    loss(&values).iter().zip(&slopes).map(|(y, slope)| y * slope).sum()
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            }).collect()
        };
        // With small variances the rounding of single precision grows beyond any fixed limit.
        let wild = norm && slope(&input, &|x| oracle(&layer, &parameters, x, batch))
            .iter().any(|x| x.abs() > 30.0);
        prop_assume!(!wild);
        let already = if add && !norm { 1.0 } else { 0.0 };
        let (mut d_input, mut d) = (vec![already as f32; input.len()], vec![0.0; count]);
        let mut flow = single(&slopes);
        stage.backward(&own, rows, batch, &mut flow, Some(&mut d_input), add, &mut d, &mut room);
        let expected = slope(&input, &|x| oracle(&layer, &parameters, x, batch));
        let expected: Vec<f64> = expected.iter().map(|x| x + already).collect();
        close(&d_input, &expected)?;
        close(&d, &slope(&parameters, &|p| oracle(&layer, p, &input, batch)))?;
    }
}

#[test]
fn what_is_not_kept_changes_no_output() {
    use super::super::cpu_network::{CpuNetwork, StageId};
    use super::super::layers::{Architecture, Network};
    for (input, kernel, stride) in
        [([9, 7], 3, 2), ([16, 18], 3, 2), ([1, 5], 3, 1), ([11, 30], 5, 3), ([8, 8], 2, 2)]
    {
        let network = Network::new(&Architecture {
            input,
            channels: vec![2, 3, 5],
            kernel,
            stride,
            batch_norm: false,
            latent: 4,
            variational: false,
        });
        let mut random = Random::new(1, Purpose::Null, 0);
        let values = (0..3 * input[0] * input[1]).map(|_| random.between(-1.0, 1.0) as f32);
        let data = cache::Array::new(input, values.collect::<Vec<_>>());
        let parameters = network.initial_parameters(0);
        let mut model = CpuNetwork::new(network, data, parameters, Vec::new());
        let mut latents = |training| {
            model.training = training;
            model.encode(&[2, 0, 1]);
            let rows = model.output(StageId::Mean);
            (0..3).map(|at| rows.row(at).to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(latents(true), latents(false), "{input:?} {kernel} {stride}");
    }
}
