//! The contract's table C, and what merchants' files look like beyond it.

use super::*;

mod suppliers;

fn read_with(text: &str, change: impl FnOnce(&mut ImportOptions)) -> Import {
    let mut options = ImportOptions::new(Unit::Mm, Currency::USD);
    change(&mut options);
    import(text.as_bytes(), &options)
}

fn read(text: &str) -> Import {
    read_with(text, |_| {})
}

fn skipping(text: &str) -> Import {
    read_with(text, |options| options.skip_bad = true)
}

fn lengths(texts: &[&str]) -> Vec<Length> {
    texts.iter().map(|text| text.parse().expect("a length")).collect()
}

/// Widths, heights and rows of prices in minor units (-1: not offered) of a file without fault.
fn grid(text: &str) -> (Vec<String>, Vec<String>, Vec<Vec<i64>>) {
    let import = read(text);
    assert_eq!(import.faults, [], "{text:?}");
    assert_eq!(import.total_rows, import.valid_rows);
    let matrix = import.accept().expect("acceptable");
    let texts = |axis: &[Length]| axis.iter().map(Length::to_string).collect();
    let rows = matrix.rows().map(|row| row.iter().map(|cell| cell.map_or(-1, Minor::get)).collect()).collect();
    (texts(matrix.widths()), texts(matrix.heights()), rows)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Line and message of each fault.
fn faults(import: &Import) -> Vec<(usize, &str)> {
    import.faults.iter().map(|fault| (fault.line, fault.message.as_str())).collect()
}

/// The only fault of a file that must not be used.
fn fault(text: &str) -> (usize, String) {
    let import = read(text);
    assert_eq!(import.faults.len(), 1, "{:?}", import.faults);
    let (line, message) = faults(&import)[0];
    let found = (line, message.to_owned());
    assert!(import.accept().is_err());
    found
}

#[test]
fn c1_c10_nine_sizes_in_any_order_make_three_by_three() {
    let text =
        "900,600,50\n300,200,10\n600,200,15\n900,200,20\n300,400,25\n600,400,30\n900,400,35\n300,600,40\n600,600,45\n";
    let rows = vec![vec![1000, 1500, 2000], vec![2500, 3000, 3500], vec![4000, 4500, 5000]];
    assert_eq!(grid(text), (strings(&["300", "600", "900"]), strings(&["200", "400", "600"]), rows));
}

#[test]
fn c2_c18_a_header_is_skipped_and_obeyed() {
    assert_eq!(grid("width,height,price\n100,200,10\n200,200,20"), grid("100,200,10\n200,200,20"));
    assert_eq!(grid("height,width,price\n100,200,5"), grid("200,100,5"));
    assert_eq!(grid("Price (USD),Height in mm,Width in mm\n5,100,200"), grid("200,100,5"));
    assert_eq!(grid("H\u{f6}he;Breite;Preis\n100;200;5"), grid("200,100,5"));
    assert_eq!(grid("w,h,price\n200,100,5"), grid("200,100,5"));
    assert_eq!(grid("h,w,price\n100,200,5"), grid("200,100,5"));
    assert_eq!(grid("Preis;H [mm];B [mm]\n5;100;200"), grid("200,100,5"));
    assert_eq!(grid("amount,height,width\n5,100,200"), grid("200,100,5"));
}

#[test]
fn a_header_whose_columns_are_ambiguous_is_a_fault_that_says_what_to_write() {
    for (header, what) in [
        ("a,b,c", "does not say which column is which"),
        ("x,y,price", "does not say which column is which"),
        ("w in all,x,price", "does not say which column is which"),
        ("width,width,price", "names a column twice"),
        ("w,width,price", "names a column twice"),
    ] {
        let headings = header.split(',').map(shown).collect::<Vec<_>>().join(", ");
        let message =
            format!("the header {headings} {what}: write width, height and price, in the order of the columns");
        assert_eq!(fault(&format!("{header}\n1,2,3")), (1, message));
        assert!(skipping(&format!("{header}\n1,2,3")).accept().is_err(), "no line to skip: {header}");
    }
    let message = "the header must have 3 columns: width, height, price".to_owned();
    assert_eq!(fault("width,height\n1,2,3"), (1, message));
}

#[test]
fn a_header_that_names_another_unit_or_currency_than_the_stores_is_a_fault() {
    for (text, said) in [
        ("W,H (inch),price\n1,2,3", "inches"),
        ("width (in),height,price\n1,2,3", "inches"),
        ("width,\"height \"\"\",price\n1,2,3", "inches"),
        ("h/w (ft),1,2,3\n1,2,3,4", "feet"),
        ("width,height,price (EUR)\n1,2,3", "EUR"),
        ("width,height,EUR price\n1,2,3", "EUR"),
        ("width,height,price eur\n1,2,3", "EUR"),
        ("width,height,price (eur) net\n1,2,3", "EUR"),
        ("width,height,Price in \u{20ac}\n1,2,3", "\u{20ac}"),
        ("width,height,\u{a3} price\n1,2,3", "\u{a3}"),
        ("mm / EUR,1,2\n1,2,3", "EUR"),
    ] {
        let (line, message) = fault(text);
        assert!(line == 1 && message.contains(&format!("says {said}, and the store's")), "{text:?}: {message}");
        assert!(skipping(text).accept().is_err(), "no line to skip: {text}");
    }
    for header in [
        "Width in mm,Height (MM),Price (USD)",
        "width,height,price in $",
        "width,height,price all sizes",
        "width millimetres,height,price usd",
        "price per piece,height,width",
    ] {
        let text = if header.starts_with("price") { "3,2,1" } else { "1,2,3" };
        assert_eq!(grid(&format!("{header}\n{text}")), grid("1,2,3"), "{header}");
    }
    let euros = |text: &str| {
        let euro = "EUR".parse().expect("a currency");
        read_with(text, |options| (options.unit, options.currency) = (Unit::Cm, euro)).accept()
    };
    assert!(euros("width (cm),height (cm),price (\u{20ac})\n1,2,3").is_ok());
    for text in ["width (mm),height,price\n1,2,3", "width,height,price ($)\n1,2,3"] {
        assert!(euros(text).is_err(), "{text}");
    }
}

#[test]
fn c3_a_file_without_prices_is_a_fault_of_the_file() {
    for text in
        ["", "\u{feff}", " \n\r\n", "width,height,price", "width,height,price\n\n", ",,\n,,", "height/width,1,2\n"]
    {
        assert_eq!(fault(text), (0, "the file has no prices".to_owned()), "{text:?}");
    }
}

#[test]
fn c4_the_size_of_a_file_is_limited() {
    let exactly = format!("1,2,3{}", "\n".repeat(BYTES_MAX - 5));
    assert_eq!(exactly.len(), BYTES_MAX);
    assert_eq!(grid(&exactly), grid("1,2,3"));
    assert_eq!(fault(&(exactly + "\n")).0, 0);
}

#[test]
fn c5_c6_c7_c8_each_bad_line_is_reported_with_its_reason() {
    let import = read("100,200,10\nabc,300,20\n200,400,30");
    assert_eq!((import.total_rows, import.valid_rows), (3, 2));
    let message = "width \"abc\" is not a plain decimal number such as 450 or 450.5";
    assert_eq!(faults(&import), [(2, message)]);
    assert!(import.accept().is_err());
    assert_eq!(fault("100,200,10\n200,-300,20"), (2, "height \"-300\" must be more than 0".to_owned()));
    assert_eq!(fault("100,200,10\n200,200,-20"), (2, "price \"-20\" must not be negative".to_owned()));
    assert_eq!(fault("1,2,3\n200,300").1, "3 columns expected (width, height, price), not 2");
    assert_eq!(fault("1,2,3\n200,300,1,1").1, "3 columns expected (width, height, price), not 4");
}

#[test]
fn a_typing_error_in_the_first_width_does_not_make_a_grid_of_it() {
    assert_eq!(fault("abc,300,20\n100,200,10").0, 1);
    assert_eq!(fault("300x,300,20\n100,200,10").0, 1);
    assert_eq!(fault("0,1,1"), (1, "width \"0\" must be more than 0".to_owned()));
}

#[test]
fn lines_are_real_ones() {
    let import = read("width,height,price\r\n\r\n1,1,x\r\n\r\n\r\n\"1\r\n\",1,y\r\n1,1,z\r\n1,1,1");
    assert_eq!(import.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [3, 6, 8]);
    assert_eq!((import.total_rows, import.valid_rows), (4, 1));
}

#[test]
fn c9_the_last_line_of_a_size_counts() {
    assert_eq!(grid("100,200,10\n100.0,200,99.99"), grid("100,200,99.99"));
}

#[test]
fn c11_c12_quotes_blanks_and_marks_are_fine() {
    assert_eq!(grid(" \"1\" , \"2\",\"3\" \n"), grid("1,2,3"));
    assert_eq!(grid("\" 1 \",2,3"), grid("1,2,3"));
    assert_eq!(grid("\u{feff}1,2,3"), grid("1,2,3"));
    assert_eq!(grid("\u{feff}width,height,price\r\n1,2,3\r\n"), grid("1,2,3"));
    assert_eq!(fault("1,2,\"3").0, 0);
    assert_eq!(fault("1,2,3\"\"").0, 0);
}

#[test]
fn c13_semicolons_and_tabs_are_read_with_decimal_commas_and_points() {
    assert_eq!(grid("1;2;3"), grid("1,2,3"));
    assert_eq!(grid("1\t2\t3"), grid("1,2,3"));
    assert_eq!(grid("1,5;2;3,50"), grid("1.5,2,3.50"));
    assert_eq!(grid("1.5;2;3.50"), grid("1.5,2,3.50"));
    assert_eq!(grid("1,5\t2\t3,50"), grid("1.5,2,3.50"));
    assert_eq!(grid("\"1,5\",2,\"3,50\""), grid("1.5,2,3.50"));
    // One list has one mark before its decimals.
    assert_eq!(faults(&skipping("1,5;2;3\n1.5;2;3")).len(), 1);
}

/// The files of merchants: each says which of the two it is, or is refused.
#[test]
fn a_number_with_three_digits_behind_its_mark_is_a_fault_unless_another_field_proves_the_mark() {
    let could_be = |field: &str| format!("width \"{field}\" could be 1500 or 1.5: write which");
    for (text, field, line) in [
        ("500;600;70\n1,500;600;99", "1,500", 2),
        ("500,600,70\n1.500,600,99", "1.500", 2),
        ("500;600;70\n1.500;600;99", "1.500", 2),
        ("500,600,70\n\"1,500\",600,99", "1,500", 2),
        ("500\t600\t70\n1,500\t600\t99", "1,500", 2),
        ("500;600;70\n1,500 mm;600;99", "1,500 mm", 2),
    ] {
        assert_eq!(fault(text), (line, could_be(field)), "{text}");
    }
    let heading = "column 4: width \"1,000\" could be 1000 or 1: write which".to_owned();
    assert_eq!(fault("h/w;600;800;1,000\n500;70;80;90"), (1, heading));
    assert_eq!(fault("h/w;600;800\n1,000;70;80").0, 2);
    assert_eq!(fault("500\t1.000\t70").0, 1);
    // A currency of two decimals has no price of three, but it may be one of thousands.
    let (_, message) = fault("500;600;1.200");
    assert_eq!(message, "price \"1.200\" has too many decimals: 2 at most; if it is 1200, write it so");

    // Each is proven by another field, or by its own other marks.
    for (text, like) in [
        ("1,500;600;92.90", "1500,600,92.90"),
        ("1,500;600;92,90", "1.5,600,92.90"),
        ("1.500;600;92,90", "1500,600,92.90"),
        ("1.500;600;92.90", "1.5,600,92.90"),
        ("1.500;600;1.092,90", "1500,600,1092.90"),
        ("1,500;600;\"1,092.90\"", "1500,600,1092.90"),
        ("1.500;600;1.000.000", "1500,600,1000000"),
        ("1.500;0,5;3", "1500,0.5,3"),
        ("1.500,0.500,3", "1.5,0.5,3"),
        ("1.500;1000,500;3", "1500,1000.5,3"),
        ("1'500;600;1'200.50", "1500,600,1200.50"),
        ("1’500;600;99", "1500,600,99"),
        ("1 500;600;1 092,90", "1500,600,1092.90"),
        ("1\u{a0}500;600;1\u{202f}092,90", "1500,600,1092.90"),
        ("1\u{2009}500,600,99", "1500,600,99"),
        ("1'500.500;600;99", "1500.5,600,99"),
    ] {
        assert_eq!(grid(text), grid(like), "{text}");
    }
    // What is grouped otherwise is no number, whatever the rest says.
    for field in ["1.50.000", "15.00.000", "1,5,00", "1'50", "1 5000", "1.500,600,700", "1,", ".5", "1'500 600", "1..5"]
    {
        assert_eq!(fault(&format!("{field};600;92,90")).0, 1, "{field}");
    }
}

#[test]
fn currencies_without_two_decimals_say_themselves_what_three_digits_are() {
    let in_currency = |code: &str, text: &str| {
        let import = read_with(text, |options| options.currency = code.parse().expect("a currency"));
        assert_eq!(import.faults, [], "{code} {text}");
        import.accept().expect("acceptable").rows().flatten().flatten().map(|price| price.get()).collect::<Vec<_>>()
    };
    assert_eq!(in_currency("KWD", "1;2;1.500"), [1_500]);
    assert_eq!(in_currency("KWD", "1;2;1,500"), [1_500]);
    assert_eq!(in_currency("KWD", "1;2;1,500\n2;2;1,234.500"), [1_500_000, 1_234_500]);
    assert_eq!(in_currency("JPY", "1;2;1,500\n2;2;12,000"), [1_500, 12_000]);
    assert_eq!(in_currency("JPY", "1;2;1.500"), [1_500]);
    // Yen have no decimals, so theirs is a mark of thousands, and in sizes too; dinars prove nothing of sizes.
    assert_eq!(in_currency("JPY", "1,500;2;12,000"), [12_000]);
    let dinars = read_with("1.500;2;2.500", |options| options.currency = "KWD".parse().expect("a currency"));
    assert_eq!(faults(&dinars), [(1, "width \"1.500\" could be 1500 or 1.5: write which")]);
}

#[test]
fn c15_c20_a_price_is_there_and_exact() {
    assert_eq!(fault("1,2,").0, 1);
    let message = "price \"10.005\" has too many decimals: 2 at most".to_owned();
    assert_eq!(fault("100,100,10.005\n200,100,1.50"), (1, message.clone()));
    assert!(fault("100,100,10.005").1.starts_with(&message));
    for price in ["Infinity", "0x10", "1e3", "5 x", "5 EUR", "EUR 5", "£5", "1'00", "on request", "free"] {
        assert_eq!(fault(&format!("1,2,{price}")).0, 1, "{price}");
    }
    let yen = read_with("1,2,1.5", |options| options.currency = "JPY".parse().expect("a currency"));
    assert_eq!(faults(&yen), [(1, "price \"1.5\" has too many decimals: 0 at most")]);
}

#[test]
fn c17_a_first_line_with_a_number_is_no_header() {
    assert_eq!(fault("100,200,price on request").0, 1);
}

#[test]
fn c19_a_missing_size_is_a_fault_unless_it_is_written_as_not_offered() {
    let (line, message) = fault("100,100,1\n200,200,2");
    assert_eq!(line, 0);
    assert_eq!(message, "no price for 200 x 100, 100 x 200; write - for a size that is not offered");
    let rows = vec![vec![100, -1], vec![-1, 200]];
    let expected = (strings(&["100", "200"]), strings(&["100", "200"]), rows);
    assert_eq!(grid("100,100,1\n200,100,-\n100,200,-\n200,200,2"), expected);
    assert_eq!(grid(",100,200\n100,1,\n200,,2"), expected);
}

#[test]
fn skipping_bad_lines_never_makes_a_price_of_nothing() {
    let import = skipping("100,100,1\n200,100,free\n100,200,3\n200,200,4");
    assert_eq!((import.faults.len(), import.valid_rows), (1, 3));
    let matrix = import.accept().expect("the rest is good");
    assert_eq!(matrix.rows().next(), Some(&[Some(Minor::new(100)), None][..]));
    // Lines that are not there are left out too.
    let matrix = skipping("100,100,1\n200,200,2").accept().expect("two sizes of four");
    assert_eq!(matrix.rows().flatten().filter(|cell| cell.is_none()).count(), 2);
    assert!(skipping("1,2,x").accept().is_err());
    assert!(skipping("1,2,\"3").accept().is_err());
}

#[test]
fn a_suppliers_grid_is_read_in_its_usual_forms() {
    let expected = grid("300,200,10\n600,200,15\n300,400,20.5\n600,400,30");
    for text in [
        ",300,600\n200,10,15\n400,20.5,30",
        "height/width,300,600\n200,10,15\n400,20.5,30",
        "mm;300;600;;\n200;10;15\n400;20,5;30;;\n;;;;",
        "Height \\ Width\t300\t600\n400\t20.5\t30\n200\t10\t15",
        "0,300,600\n200,10,15\n400,20.5,30",
        ",600,300\n200,15,10\n400,30,20.5",
    ] {
        assert_eq!(grid(text), expected, "{text:?}");
        assert_eq!(read(text).layout, Layout::Grid);
    }
    let forced = read_with("1,300,600\n200,10,15\n400,20.5,30", |options| options.layout = Some(Layout::Grid));
    assert_eq!(forced.accept().map(|matrix| matrix.widths().to_vec()).ok(), Some(lengths(&["300", "600"])));
}

#[test]
fn faults_of_a_grid_name_line_and_column() {
    let import = read(",300,600\n200,10,x\n200,1,2\nabc,1,-5\n400,1\n400,1,2\n400,3,4");
    let expected = [
        (2, "width 600: price \"x\" is not a plain decimal number such as 450 or 450.5"),
        (4, "height \"abc\" is not a plain decimal number such as 450 or 450.5"),
        (4, "width 600: price \"-5\" must not be negative"),
        (5, "3 columns expected, as in the first line, not 2"),
        (7, "height \"400\" is already in line 6"),
    ];
    assert_eq!(faults(&import), expected);
    assert_eq!((import.total_rows, import.valid_rows), (6, 2));
    // A price behind the last width belongs to no known width.
    assert_eq!(fault(",300,600\n200,10,15,,20"), (2, "3 columns expected, as in the first line, not 5".to_owned()));
    assert_eq!(fault(",300,600,\n200,10,15,20"), (2, "3 columns expected, as in the first line, not 4".to_owned()));
    let header = skipping(",300,wide,300\n200,1,2,3");
    let expected = [
        (1, "column 3: width \"wide\" is not a plain decimal number such as 450 or 450.5"),
        (1, "width 300 appears twice"),
    ];
    assert_eq!(faults(&header), expected);
    assert!(header.accept().is_err());
}

#[test]
fn a_hostile_file_is_refused_before_its_cells_exist() {
    let diagonal: String = (1..=60_000).map(|step| format!("{step},{step},1\n")).collect();
    let import = skipping(&diagonal);
    assert_eq!(import.faults.len(), 2);
    assert!(import.matrix.is_none());
    let tall: String =
        std::iter::once("x/y,1\n".to_owned()).chain((1..=60_000).map(|step| format!("{step},1\n"))).collect();
    assert!(skipping(&tall).accept().is_err());
    let wide: String = std::iter::once("x/y".to_owned()).chain((1..=100_000).map(|step| format!(",{step}"))).collect();
    assert!(skipping(&(wide + "\n1,1")).accept().is_err());
    let nonsense = read(&"x1,1\n".repeat(200_000));
    assert_eq!((nonsense.faults.len(), nonsense.more_faults), (FAULTS_MAX, 199_999 - FAULTS_MAX));
    let small = read_with(",1,2\n1,1,1\n2,1,1", |options| options.cells_max = 3);
    assert_eq!(faults(&small), [(0, "2 widths x 2 heights are more than 3 sizes")]);
}

#[test]
fn both_exports_keep_what_is_not_offered() {
    let text = "height/width,300,600.5\n200,10.00,\n400,,\n";
    let matrix = read(text).accept().expect("acceptable");
    assert_eq!(export(&matrix, Currency::USD, Layout::Grid), text);
    let long = export(&matrix, Currency::USD, Layout::Long);
    assert_eq!(long, "width,height,price\n300,200,10.00\n600.5,200,-\n300,400,-\n600.5,400,-\n");
    assert_eq!(read(&long).accept().ok(), Some(matrix));
}
