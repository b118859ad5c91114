//! What suppliers and spreadsheet programs send: axes either way round, units, currencies, titles, files that are no CSV.

use super::*;
use crate::domain::matrix::{OutOfRange, SizeLimits};

/// Windows-1252, as Excel saves it.
fn ansi(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| if letter == '€' { 0x80 } else { u8::try_from(u32::from(letter)).expect("Latin") })
        .collect()
}

fn in_euros(bytes: &[u8]) -> Import {
    import(bytes, &ImportOptions::new(Unit::Mm, "EUR".parse().expect("a currency")))
}

#[test]
fn a_corner_names_what_runs_down_below_it() {
    let upright = grid("h/w,300,600\n200,10,15\n400,25,30\n600,40,45");
    for corner in [
        "width",
        "Width (mm)",
        "Breite",
        "Breite [mm]",
        "breedte",
        "Largeur",
        "Larghezza",
        "Ancho",
        "Anchura",
        "w",
        "B",
        "width ↓ / height →",
        "width ↓ height →",
        "Breite ▼ Höhe ►",
        "height → / width ↓",
        "→ Höhe / ↓ Breite",
        "height → / width",
        "width / height →",
        "Width down / height across",
        "width↓\\height→",
    ] {
        let text = format!("{corner},200,400,600\n300,10,25,40\n600,15,30,45");
        assert_eq!(grid(&text), upright, "{corner}");
        assert_eq!(read(&text).understood.and_then(|found| found.across), Some(Axis::Height), "{corner}");
    }
    for corner in [
        "",
        "0",
        "mm",
        "height",
        "Höhe",
        "Hauteur (mm)",
        "Altezza",
        "Altura",
        "Hoogte",
        "Drop",
        "h",
        "H/B",
        "Höhe / Breite",
        "Height \\ Width",
        "height ↓ / width →",
        "width → / height ↓",
        "Breite → Höhe ↓",
        "width →",
        "Drop/Width",
        "Länge / Breite",
        "W x H",
        "Breite × Höhe",
        "h x w",
    ] {
        let text = format!("{corner},300,600\n200,10,15\n400,25,30\n600,40,45");
        assert_eq!(grid(&text), upright, "{corner}");
    }
    assert_eq!(grid("H”he;300;600\n200;10;15\n400;25;30\n600;40;45"), upright);
}

#[test]
fn a_corner_that_could_mean_either_is_a_fault_that_says_what_to_write() {
    for corner in
        ["width/height", "Breite / Höhe", "B\\H", "w | h", "width → / height →", "width ? / height ?", "width/length"]
    {
        let (line, message) = fault(&format!("{corner},300,600\n200,10,15\n400,25,30"));
        assert!(line == 1 && message.contains("does not say which size runs down the side"), "{corner}: {message}");
        assert!(skipping(&format!("{corner},300,600\n200,10,15")).accept().is_err());
    }
}

#[test]
fn a_line_above_a_grid_names_its_columns() {
    let upright = grid("h/w,300,600,900\n200,10,15,20\n400,25,30,35");
    for text in [
        ";Breite;;\nHöhe;300;600;900\n200;10;15;20\n400;25;30;35",
        ";;Width (mm);\n;300;600;900\n200;10;15;20\n400;25;30;35",
        ";Höhe;\nBreite;200;400\n300;10;25\n600;15;30\n900;20;35",
        ";Height;\n;200;400\n300;10;25\n600;15;30\n900;20;35",
    ] {
        assert_eq!(grid(text), upright, "{text}");
    }
    // Each name alongside its own sizes.
    for text in [
        "Width:,300,600,900\nHeight:,,\n200,10,15,20\n400,25,30,35",
        "Width (mm),300,600,900\nDrop (mm),,,\n200,10,15,20\n400,25,30,35",
        "mm,300,600,900\nHöhe\n200,10,15,20\n400,25,30,35",
        "Height,200,400\nWidth,,\n300,10,25\n600,15,30\n900,20,35",
        "Price list\nWidth (cm),30,60,90\nHeight (mm),,,\n200,10,15,20\n400,25,30,35",
    ] {
        assert_eq!(grid(text), upright, "{text}");
    }
    assert!(fault("Width,300,600\nWidth,,\n200,10,15").1.contains("does not say which size"));
    assert!(fault(";Breite;\nBreite;300;600\n200;10;15\n400;25;30").1.contains("do not agree"));
}

#[test]
fn a_column_that_is_no_size_is_refused_by_its_name() {
    for (text, name) in [
        ("louvre_mm,width_mm,price\n89,610,41\n89,810,45\n127,610,44\n127,810,48", "louvre_mm"),
        ("slat,height,price\n1,2,3", "slat"),
        ("colour,width,height,price\n1,2,3,4", "colour"),
        ("width,height,price,article\n1,2,3,4", "article"),
        ("louvre_mm,width,height\n89,2,3", "louvre_mm"),
        ("width,height,louvre_mm\n1,2,89", "louvre_mm"),
        ("Breite;Höhe;Tiefe\n1;2;89", "Tiefe"),
        ("width,height,weight\n1,2,89", "weight"),
    ] {
        let (line, message) = fault(text);
        assert_eq!(line, 1);
        assert_eq!(
            message,
            format!(
                "the column \"{name}\" is neither width, height nor price: leave it out, or make a list for each of its values"
            ),
        );
        assert!(skipping(text).accept().is_err());
    }
    // These can be nothing else.
    for header in [
        "Länge,Breite,Preis",
        "drop,width,price",
        "projection,width,price",
        "Ausladung (mm),Breite (mm),EK",
        "length,W,UVP",
    ] {
        let text = format!("{header}\n200,100,5");
        assert_eq!(in_euros(text.as_bytes()).accept().ok(), read("100,200,5").accept().ok(), "{header}");
    }
    assert_eq!(grid("length,height,price\n200,100,5"), grid("200,100,5"), "next to a height, a length is the width");
}

#[test]
fn a_corner_that_names_another_size_is_refused_by_its_name() {
    for corner in ["louvre_mm", "Lamelle [mm]", "slat (cm)"] {
        let (line, message) = fault(&format!("{corner},610,810\n89,41,45\n127,44,48"));
        let named = format!("the corner \"{corner}\" is neither width nor height");
        assert!(line == 1 && message.starts_with(&named), "{message}");
    }
    for corner in [
        "mm",
        "Maße in mm",
        "size (mm)",
        "Sizes mm",
        "Größe [mm]",
        "mm / USD",
        "W x H mm",
        "Roller blind",
        "x/y",
        "Preise",
    ] {
        assert_eq!(
            grid(&format!("{corner},300,600,900\n200,10,15,20")),
            grid("h/w,300,600,900\n200,10,15,20"),
            "{corner}"
        );
    }
    assert!(fault("Price per m,300,600,900\n200,10,15,20").1.contains("by the metre"));
}

#[test]
fn columns_may_be_in_any_order_and_empty_ones_are_left_out() {
    for text in [
        "Preis;Breite;Höhe\n5;100;200",
        "Prix,Hauteur,Largeur\n5,200,100",
        "alto;precio;ancho\n200;5;100",
        "hoogte\tprijs\tbreedte\n200\t5\t100",
        "altezza,larghezza,prezzo\n200,100,5",
        "altura;anchura;precio\n200;100;5",
        "Breite;Höhe;Preis;;\n100;200;5;;\n;;;;\n",
        ";Breite;Höhe;Preis\n;100;200;5",
        "100;200;5;;",
    ] {
        assert_eq!(grid(text), grid("100,200,5"), "{text}");
    }
    assert_eq!(fault("Breite;Höhe;Preis;;\n100;200;5;;7").0, 2, "a number without a heading");
}

#[test]
fn sizes_in_another_metric_unit_are_converted_exactly() {
    let expected = grid("605,1200,5\n900.5,1200,6");
    for text in [
        "width (cm),height (cm),price\n60.5,120,5\n90.05,120,6",
        "Breite [cm];Höhe [cm];Preis\n60,5;120;5\n90,05;120;6",
        "width (m),height (m),price\n0.605,1.2,5\n0.9005,1.2,6",
        "width (cm),height (mm),price\n60.5,1200,5\n90.05,1200,6",
        "h/w (cm),60.5,90.05\n120,5,6",
        "Höhe (cm),60.5,90.05\n120,5,6",
        "height (m) / width (cm),60.5,90.05\n1.2,5,6",
        "All sizes in cm\nwidth,height,price\n60.5,120,5\n90.05,120,6",
        "All sizes in cm,,\nheight,60.5,90.05\n120,5,6",
        "h/w,60.5 cm,90.05cm\n120 cm,5,6",
        ",Width (cm),\nHeight (mm),60.5,90.05\n1200,5,6",
        ",Width (cm),\nHeight,60.5,90.05\n120,5,6",
        "width,height,price\n605 mm,1200 mm,5\n900.5 mm,1200 mm,6",
        "Breite;Höhe;Preis\ncm;cm;USD\n60,5;120;5\n90,05;120;6",
        "Breite;Höhe;Preis\n(cm);(mm);\n60,5;1200;5\n90,05;1200;6",
    ] {
        assert_eq!(grid(text), expected, "{text}");
    }
    let in_cm = |text: &str| read_with(text, |options| options.unit = Unit::Cm);
    let grid_in_cm = in_cm("width (mm),height (mm),price\n605,1200,5").accept().expect("exact");
    assert_eq!((grid_in_cm.widths(), grid_in_cm.heights()), (&lengths(&["60.5"])[..], &lengths(&["120"])[..]));
    let inexact = in_cm("width (mm),height (mm),price\n605.125,1200,5\n1.10,2,3");
    assert_eq!(faults(&inexact), [(2, "width \"605.125\" mm has no exact counterpart in cm")]);
    // The unit of one size says nothing of the other.
    for text in ["width (cm),height,price\n60,120,5", "width,height_m,price\n1,2,3"] {
        assert!(fault(text).1.contains("write the unit of both"), "{text}");
    }
    assert_eq!(
        grid("width (mm),height,price\n1,2,3"),
        grid("1,2,3"),
        "the store's unit is what the others are in anyway"
    );
    // A field that names another unit than its neighbours, which name none, is a slip of the pen.
    assert_eq!(fault("600,1200,5\n90 cm,1200,6").0, 2);
    assert_eq!(fault("width (mm) (cm),height,price\n1,2,3").0, 1);
    assert!(fault("width in mm and cm,height,price\n1,2,3").1.contains("mm and cm"));
}

#[test]
fn inches_and_feet_are_named_in_the_fault() {
    for (text, line) in [
        ("24\";36\";99", 1),
        ("24\",36\",99", 1),
        ("\"24\"\"\",\"36\"\"\",99", 1),
        ("24”;36”;99", 1),
        ("24 in;36 in;99", 1),
        ("24'';36'';99", 1),
        ("width,height,price\n24\",36\",99", 2),
        ("width (in),height (in),price\n24,36,99", 1),
        ("width \",height \",price\n24,36,99", 1),
        ("Breite (Zoll);Höhe (Zoll);Preis\n24;36;99", 1),
    ] {
        let import = read(text);
        let (found, message) = faults(&import)[0];
        // A bare quote in a heading is a stray one before anything is read.
        let is_named = message.contains("inches") || message.contains("quote");
        assert!((found == line || found == 0) && is_named, "{text}: {message}");
        assert!(import.accept().is_err());
    }
    assert_eq!(fault("24\";36;99"), (1, "width \"24\"\" is in inches: write it in mm".to_owned()));
    assert_eq!(read("h/w,24\",36\"\n24\",1,2\n").faults.len(), 2);
    assert!(fault("2';3;99").1.contains("in feet"));
}

#[test]
fn quotation_marks_around_words_are_no_inches() {
    assert_eq!(grid("“width”,“height”,“price”\n1,2,3"), grid("1,2,3"));
    assert_eq!(grid("“height”,300,600\n200,10,15"), grid("h/w,300,600\n200,10,15"));
}

#[test]
fn the_euro_sign_is_known_in_whatever_another_encoding_has_made_of_it() {
    // Latin-9, Macintosh, DOS, and UTF-8 encoded twice.
    for sign in [&b"\xA4"[..], b"\xDB", b"\xD5", "â‚¬".as_bytes(), "€".as_bytes(), b"\x80"] {
        let file = |before: &[u8], behind: &[u8]| [before, sign, behind].concat();
        for bytes in [file(b"width,height,price (", b")\n1,2,3"), file(b"width,height,price\n1,2,3 ", b"\n")] {
            assert!(in_euros(&bytes).accept().is_ok(), "{sign:?}");
            let read = import(&bytes, &ImportOptions::new(Unit::Mm, Currency::USD));
            assert!(
                read.faults.iter().any(|fault| fault.message.contains("prices are in USD")),
                "{sign:?}: {:?}",
                read.faults
            );
        }
    }
}

#[test]
fn prices_may_be_written_with_the_stores_currency_and_no_other() {
    for text in [
        "300;200;92,90 €\n600;200;1.092,90 €",
        "300;200;€ 92,90\n600;200;€1.092,90",
        "300;200;92,90€\n600;200;1 092,90 €",
        "300;200;EUR 92,90\n600;200;1.092,90 EUR",
        "Breite;Höhe;Preis (€)\n300;200;92,90\n600;200;1.092,90",
        "300;200;92,90 euro\n600;200;1.092,90 Euro",
    ] {
        for bytes in [text.as_bytes().to_vec(), ansi(text)] {
            let read = in_euros(&bytes);
            assert_eq!(read.faults, [], "{text}");
            let prices: Vec<_> =
                read.accept().expect("acceptable").rows().flatten().flatten().map(|price| price.get()).collect();
            assert_eq!(prices, [9_290, 109_290], "{text}");
        }
        // In a shop of dollars, in whichever encoding.
        for bytes in [text.as_bytes().to_vec(), ansi(text)] {
            let read = import(&bytes, &ImportOptions::new(Unit::Mm, Currency::USD));
            assert!(read.faults.iter().any(|fault| fault.message.contains("the store's prices are in USD")), "{text}");
            assert!(read.accept().is_err());
        }
    }
    let swiss = read_with("300;200;CHF 1'092.90\n600;200;Fr. 99.-\n900;200;1'200.–", |options| {
        options.currency = "CHF".parse().expect("a currency");
    });
    assert_eq!(swiss.faults, []);
    assert_eq!(
        grid("300,200,$5\n600,200,\"US$1,092.90\"\n900,200,7 USD"),
        grid("300,200,5\n600,200,1092.90\n900,200,7")
    );
    assert_eq!(grid("300;200;99,-\n600;200;92,90"), grid("300,200,99\n600,200,92.90"));
    for price in ["-$5", "$-5", "- 5 USD"] {
        assert_eq!(fault(&format!("1,2,{price}")), (1, format!("price \"{price}\" must not be negative")));
    }
}

#[test]
fn prices_in_cents_or_by_a_measure_are_refused_with_the_reason() {
    for (heading, said) in [
        ("Preis in Cent", "Cent"),
        ("price (cents)", "cents"),
        ("Price (p)", "p"),
        ("prix (centimes)", "centimes"),
        ("Preis (TEUR)", "TEUR"),
        ("Preis pro m²", "m²"),
        ("price per sqm", "sqm"),
        ("price/m2", "m2"),
        ("Preis je lfm", "lfm"),
        ("price per sq ft", "sq"),
    ] {
        let (line, message) = fault(&format!("width,height,{heading}\n300,200,1050"));
        assert!(
            line == 1 && message.contains(&format!("says {said}: a list has the whole price")),
            "{heading}: {message}"
        );
        let (_, message) = fault(&format!("{heading}\nwidth,height,price\n300,200,1050"));
        assert!(message.contains("the whole price"), "above the list, {heading}: {message}");
    }
    let whole = grid("300,200,10.50");
    for heading in ["Preis pro Stück", "price each", "price per piece", "Preis netto", "Center price", "VK"] {
        assert_eq!(grid(&format!("width,height,{heading}\n300,200,10.50")), whole, "{heading}");
    }
    let (_, message) = fault("width,height,Rabatt\n300,200,10");
    assert!(message.contains("\"Rabatt\" is neither"), "{message}");
}

#[test]
fn a_corner_in_any_language_says_what_runs_down_below_it() {
    let transposed = grid("width,200,400,600\n300,10,25,40\n600,15,30,45");
    for width in
        ["šířka", "genişlik", "ширина", "leveys", "szélesség", "lățime", "πλάτος", "širina", "幅", "宽度", "너비"]
    {
        assert_eq!(grid(&format!("{width},200,400,600\n300,10,25,40\n600,15,30,45")), transposed, "{width}");
    }
    // In the code page of its country, and its currency too.
    let czech = b"\x9a\xed\xf8ka;200;400;600\n300;10;25;40\n600;15;30;45";
    assert_eq!(in_euros(czech).accept().expect("acceptable").widths().len(), 2);
    for price in [&b"cena (z\xb3)"[..], b"cena (K\xe8)"] {
        let list = [b"width;height;", price, b"\n300;200;10"].concat();
        assert!(in_euros(&list).accept().is_err(), "{}", String::from_utf8_lossy(price));
    }
}

#[test]
fn lines_above_a_list_are_left_out_unless_they_say_something_else() {
    let (long, across) = (grid("300,200,10\n600,200,15"), grid("h/w,300,600\n200,10,15"));
    for text in [
        "Preisliste Rollo 2026\nBreite;Höhe;Preis\n300;200;10\n600;200;15",
        "Preisliste Rollo 2026;;\n;;\nBreite;Höhe;Preis\n300;200;10\n600;200;15",
        "Rollo, Stoff A\n\nStand;01.01.2026;\nBreite;Höhe;Preis\n300;200;10\n600;200;15",
        "2026 price list,,\nwidth,height,price\n300,200,10\n600,200,15",
        "Slats of 25 mm\n300,200,10\n600,200,15",
        "Prices in USD\n300,200,10\n600,200,15",
        "\"Roller blinds, all fabrics\"\nPrices in US$\nwidth,height,price\n300,200,10\n600,200,15",
    ] {
        assert_eq!(grid(text), long, "{text}");
    }
    for text in
        ["Rollo\nHöhe;300;600\n200;10;15", "Rollo;;\nStoff A;;\nmm;300;600\n200;10;15", "Rollo\n\n;300;600\n200;10;15"]
    {
        assert_eq!(grid(text), across, "{text}");
    }
    for (text, said) in [
        ("Preise in EUR\nBreite;Höhe;Preis\n300;200;10", "EUR"),
        ("Preisliste €\nBreite;Höhe;Preis\n300;200;10", "€"),
        ("Sizes in inches\nwidth,height,price\n300,200,10", "inches"),
        ("Prices per cm of width\nwidth,height,price\n300,200,10", "say that sizes are in cm?"),
        ("Sizes in cm\nwidth (mm),height (mm),price\n300,200,10", "a line above it says cm"),
        ("Sizes in cm\nh/w (mm),300,600\n200,10,15", "a line above it says cm"),
        ("Sizes in cm\nMaße in mm\nwidth,height,price\n300,200,10", "do not agree"),
    ] {
        let (_, message) = fault(text);
        assert!(message.contains(said), "{text}: {message}");
    }
}

#[test]
fn a_price_of_0_among_others_is_a_fault_that_names_its_size() {
    let csv = "height/width,600,900,1200\n500,120.00,150.00,0.00\n1000,140.00,0.00,0.00";
    let message = "a price of 0 for 1200 x 500, 900 x 1000, 1200 x 1000: say whether that is not offered (zero=not-offered) or costs \
                nothing (zero=free)";
    assert_eq!(fault(csv), (0, message.to_owned()));
    assert!(skipping(csv).accept().is_err(), "no line to skip");
    let with = |zero| read_with(csv, |options| options.zero = Some(zero)).accept().expect("said");
    let third = |matrix: &PriceMatrix| matrix.rows().next().and_then(|row| row[2]);
    assert_eq!(third(&with(Zero::Free)), Some(Minor::ZERO));
    assert_eq!(third(&with(Zero::NotOffered)), None);
    for price in ["0", "0,00", "0.00 $", "-0"] {
        assert_eq!(fault(&format!("1;2;5\n2;2;{price}")).0, 0, "{price}");
    }
    // A template that holds no price yet, and zeros that say that they are meant.
    assert_eq!(grid("1,2,0\n2,2,0.00").2, [[0, 0]]);
    let matrix = with(Zero::Free);
    for layout in [Layout::Long, Layout::Grid] {
        let text = export(&matrix, Currency::USD, layout);
        assert!(text.contains("0.00 free"), "{text}");
        assert_eq!(read(&text).accept().ok(), Some(matrix.clone()));
    }
}

#[test]
fn what_an_export_has_three_decimals_of_is_never_taken_for_thousands() {
    for currency in ["JPY", "KWD"] {
        comes_back(currency.parse().expect("a currency"));
    }
}

fn comes_back(currency: Currency) {
    let matrix = PriceMatrix::new(
        &lengths(&["1.234", "500.5"]),
        &lengths(&["12.345"]),
        &[vec![Some(Minor::new(1_500)), None]],
        OutOfRange::default(),
        SizeLimits::default(),
    );
    let matrix = matrix.expect("valid");
    for layout in [Layout::Long, Layout::Grid] {
        let read = read_with(&export(&matrix, currency, layout), |options| options.currency = currency);
        assert_eq!(read.accept().ok(), Some(matrix.clone()));
    }
}

#[test]
fn a_file_that_is_not_csv_is_refused_by_its_format() {
    let workbook = [b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml".to_vec(), vec![0; BYTES_MAX]].concat();
    for (bytes, kind) in [(&workbook[..], ".xlsx"), (b"<html><table><tr><td>1</td></tr></table></html>", "HTML")] {
        let read = import(bytes, &ImportOptions::new(Unit::Mm, Currency::USD));
        let message = faults(&read);
        assert!(message.len() == 1 && message[0].0 == 0 && message[0].1.contains(kind), "{message:?}");
        assert!(read.accept().is_err());
    }
}

#[test]
fn repeated_sizes_are_reported_with_both_prices() {
    let read = read("100,200,10\n100.0,200,99.99\n300,200,-");
    let size = |text: &str| text.parse::<Length>().expect("a length");
    assert_eq!(
        read.repeats,
        [Repeat {
            line: 2,
            width: size("100"),
            height: size("200"),
            before: Some(Minor::new(1_000)),
            now: Some(Minor::new(9_999))
        }]
    );
}

#[test]
fn findings_name_what_stands_out_in_a_grid() {
    let matrix = read("h/w,300,600,900\n200,10,15,-\n400,12,11,20\n600,0,-,5").matrix.expect("a grid");
    let found = Findings::of(&matrix);
    let size = |width: &str, height: &str, minor| PricedSize {
        width: width.parse().expect("a length"),
        height: height.parse().expect("a length"),
        price: Minor::new(minor),
    };
    assert_eq!((found.cheapest, found.dearest), (Some(size("300", "600", 0)), Some(size("900", "400", 2_000))));
    assert_eq!((found.not_offered.len(), found.free.len()), (2, 1));
    let falls: Vec<_> = found.falls.iter().map(|fall| (fall.size.price.get(), fall.than.price.get())).collect();
    assert_eq!(falls, [(500, 2_000), (0, 1_200), (1_100, 1_500), (1_100, 1_200)], "the deepest first");
}
