//! Arrays in NumPy's NPY format.

use cache::cells::Numbers;
use npyz::{NpyFile, Order, TypeChar};

/// Reads a matrix from an NPY file: the counts of rows and columns, and the numbers row after row, in
/// single or double precision. An array with one axis is one column.
///
/// # Errors
/// When the bytes are not an NPY file, or hold something other than real numbers on one or two
/// axes.
pub fn read_matrix(bytes: &[u8]) -> Result<(usize, usize, Numbers), String> {
    let broken = |error: std::io::Error| format!("is not a whole NPY file: {error}");
    if is_deep(bytes) {
        return Err("is not a whole NPY file: its header is nested too deep".to_owned());
    }
    let file = NpyFile::new(bytes).map_err(broken)?;
    let axes: Vec<usize> = file.shape().iter().map(|&axis| axis as usize).collect();
    let (rows, columns) = match axes[..] {
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        _ => return Err(format!("holds an array of {} axes, not one or two", axes.len())),
    };
    let dtype = file.dtype().descr();
    let npyz::DType::Plain(kind) = file.dtype() else {
        return Err(format!("holds records of type {dtype}, not numbers"));
    };
    // A header may claim more numbers than there are bytes.
    let claimed = rows.checked_mul(columns).and_then(|n| n.checked_mul(kind.size_field() as usize));
    if claimed.is_none_or(|claimed| claimed > bytes.len()) {
        return Err(format!("is cut short: it should hold {rows} × {columns} numbers"));
    }
    let by_columns = (file.order() == Order::Fortran).then_some((rows, columns));
    let single = |values: Vec<f32>| Numbers::Single(by_rows(values, by_columns));
    let double = |values: Vec<f64>| Numbers::Double(by_rows(values, by_columns));
    let numbers = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Bool, _) => single(cast::<bool, _>(file, |x| f32::from(u8::from(x)))?),
        (TypeChar::Float, 2) => single(cast::<half::f16, _>(file, half::f16::to_f32)?),
        (TypeChar::Float, 4) => single(file.into_vec().map_err(broken)?),
        (TypeChar::Float, 8) => double(file.into_vec().map_err(broken)?),
        (TypeChar::Int, 1) => single(cast::<i8, _>(file, f32::from)?),
        (TypeChar::Int, 2) => single(cast::<i16, _>(file, f32::from)?),
        (TypeChar::Int, 4) => double(cast::<i32, _>(file, f64::from)?),
        (TypeChar::Int, 8) => double(cast::<i64, _>(file, |x| x as f64)?),
        (TypeChar::Uint, 1) => single(cast::<u8, _>(file, f32::from)?),
        (TypeChar::Uint, 2) => single(cast::<u16, _>(file, f32::from)?),
        (TypeChar::Uint, 4) => double(cast::<u32, _>(file, f64::from)?),
        (TypeChar::Uint, 8) => double(cast::<u64, _>(file, |x| x as f64)?),
        _ => {
            return Err(format!(
                "holds values of type {dtype}, not real or whole numbers of up to 8 bytes"
            ));
        }
    };
    Ok((rows, columns, numbers))
}

/// True if the literal in the header is nested deeper than any of NumPy's, since its parser is
/// recursive.
fn is_deep(bytes: &[u8]) -> bool {
    const DEEPEST: i32 = 64;
    let header = bytes.iter().take_while(|&&byte| byte != b'\n');
    let mut depth = 0;
    header.into_iter().any(|byte| {
        depth += i32::from(b"([{".contains(byte)) - i32::from(b")]}".contains(byte));
        depth > DEEPEST
    })
}

fn cast<T: npyz::Deserialize, U>(file: NpyFile<&[u8]>, to: fn(T) -> U) -> Result<Vec<U>, String> {
    let values: Vec<T> =
        file.into_vec().map_err(|error| format!("is not a whole NPY file: {error}"))?;
    Ok(values.into_iter().map(to).collect())
}

/// Numbers row after row, converted from column-major order if `by_columns` is given.
fn by_rows<T: Copy>(values: Vec<T>, by_columns: Option<(usize, usize)>) -> Vec<T> {
    let Some((rows, columns)) = by_columns else { return values };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| column * rows + row));
    places.map(|at| values[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder;

    fn npy<T: npyz::AutoSerialize + Clone>(shape: &[u64], order: Order, values: &[T]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut writer = options.writer(&mut bytes).begin_nd().expect("a header");
        writer.extend(values.iter().cloned()).expect("values");
        writer.finish().expect("an end");
        bytes
    }

    #[test]
    fn reads_both_orders_and_every_width() {
        let double = (2, 3, Numbers::Double(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let single = (2, 3, Numbers::Single(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let c = npy(&[2, 3], Order::C, &[1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(read_matrix(&c), Ok(double.clone()));
        let fortran = npy(&[2, 3], Order::Fortran, &[1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(read_matrix(&fortran), Ok(single));
        let whole = npy(&[2, 3], Order::C, &[1_i64, 2, 3, 4, 5, 6]);
        assert_eq!(read_matrix(&whole), Ok(double));
        let of = |bytes: Vec<u8>| read_matrix(&bytes).map(|(_, _, numbers)| numbers);
        assert_eq!(of(npy(&[2], Order::C, &[7_u8, 9])), Ok(Numbers::Single(vec![7.0, 9.0])));
        assert_eq!(of(npy(&[2], Order::C, &[true, false])), Ok(Numbers::Single(vec![1.0, 0.0])));
        let half = [half::f16::from_f32(-1.5), half::f16::MAX];
        assert_eq!(of(npy(&[2], Order::C, &half)), Ok(Numbers::Single(vec![-1.5, 65504.0])));
    }

    #[test]
    fn refuses_what_is_no_matrix() {
        let says = |bytes: &[u8], expected: &str| {
            let error = read_matrix(bytes).expect_err("no matrix");
            assert!(error.contains(expected), "{error}");
        };
        says(b"clip,1,2", "not a whole NPY file");
        says(&npy(&[1, 1, 1], Order::C, &[1.0_f32]), "3 axes");
        let whole = npy(&[4, 4], Order::C, &[0.0_f32; 16]);
        says(&whole[..whole.len() - 9], "not a whole NPY file");
        let mut lying = whole.clone();
        let at = whole.windows(4).position(|four| four == b"4, 4").expect("a shape");
        lying[at..at + 4].copy_from_slice(b"9, 9");
        says(&lying, "cut short");
        says(&whole[..20], "not a whole NPY file");
        let deep = [&whole[..10], "(".repeat(60_000).as_bytes()].concat();
        says(&deep, "nested too deep");
    }
}
