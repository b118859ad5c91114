//! What suppliers' lists call things, in the languages that they come in.

/// A column of the long form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Width,
    Height,
    Price,
}

impl Column {
    pub(super) const ALL: [Self; 3] = [Self::Width, Self::Height, Self::Price];

    /// What a heading names.
    pub(super) fn of(heading: &str) -> Option<Self> {
        // Folded, as `fold` does it.
        const WORDS: [(Column, &[&str]); 3] = [
            (
                Column::Width,
                &[
                    "width", "breit", "largeur", "ancho", "anchura", "larghezz", "breedte", "bredd", "largura",
                    "szeroko",
                ],
            ),
            (
                Column::Height,
                &[
                    "height", "h?he", "ho?he", "hoehe", "hauteur", "alto", "altura", "altezz", "hoogte", "h?jd",
                    "h?yde", "wysoko",
                ],
            ),
            (Column::Price, &["price", "preis", "prix", "precio", "prezz", "prijs", "prijz", "pre?o", "pris", "cena"]),
        ];
        let heading = fold(heading);
        WORDS.iter().find(|(_, words)| words.iter().any(|word| heading.contains(word))).map(|&(column, _)| column)
    }

    /// The same, or what a lone letter or an abbreviation means alongside its unit: `h`, `W (mm)`, `Drop`.
    pub(super) fn of_short(heading: &str, is_unit: impl Fn(&str) -> bool) -> Option<Self> {
        if let Some(column) = Self::of(heading) {
            return Some(column);
        }
        let mut words = words_of(heading).map(fold);
        let (first, alone) = (words.next()?, words.all(|word| is_unit(&word)));
        match first.as_str() {
            "w" | "b" | "br" | "wd" | "wdth" | "larg" if alone => Some(Self::Width),
            "h" | "ht" | "hgt" | "haut" if alone => Some(Self::Height),
            // A blind's height, whatever else the heading says.
            "drop" => Some(Self::Height),
            _ => None,
        }
    }
}

/// Whether a heading names a size that is the width or the height, whichever the other one is not: blinds and awnings have a length,
/// a depth or a projection.
pub(super) fn is_other_size(heading: &str) -> bool {
    const WORDS: &[&str] = &[
        "length",
        "long",
        "l",
        "len",
        "l?nge",
        "la?nge",
        "laenge",
        "longueur",
        "largo",
        "lunghezza",
        "lengte",
        "depth",
        "d",
        "tiefe",
        "t",
        "profondeur",
        "profundidad",
        "profondit?",
        "diepte",
        "projection",
        "ausladung",
        "ausfall",
        "avanc?e",
        "avance?e",
        "sporgenza",
        "uitval",
        "salida",
    ];
    words_of(heading).any(|word| WORDS.contains(&fold(word).as_str()))
}

/// Whether a heading can only be that of prices, though it does not say so.
pub(super) fn is_amount(heading: &str) -> bool {
    const WORDS: &[&str] = &[
        "amount", "betrag", "cost", "costs", "kosten", "co?t", "montant", "tarif", "tarifa", "tariffa", "tarief",
        "importe", "importo", "bedrag", "value", "wert", "rate", "rrp", "msrp", "uvp", "vk", "ek", "net", "netto",
        "gross", "brutto", "retail", "sale", "trade", "fee", "charge", "p", "total", "gesamt", "sum", "summe",
    ];
    words_of(heading).any(|word| WORDS.contains(&fold(word).as_str()))
}

/// Whether a heading names something else that lists report a size.
pub(super) fn is_no_price(heading: &str) -> bool {
    const WORDS: &[&str] = &[
        "weight",
        "gewicht",
        "poids",
        "peso",
        "kg",
        "qty",
        "quantity",
        "menge",
        "anzahl",
        "pcs",
        "stock",
        "area",
        "fl?che",
        "m?",
        "m2",
        "sqm",
        "sku",
        "article",
        "artikel",
        "item",
        "ean",
        "gtin",
        "id",
        "nr",
        "no",
        "code",
        "name",
        "title",
        "colour",
        "color",
        "farbe",
        "stoff",
        "fabric",
        "group",
        "gruppe",
        "notes",
        "comment",
        "bemerkung",
    ];
    is_other_size(heading) || words_of(heading).any(|word| WORDS.contains(&fold(word).as_str()))
}

/// Whether a word of a corner says nothing of what the column below it holds.
pub(super) fn is_neutral(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "size",
        "sizes",
        "ma?",
        "ma?e",
        "mass",
        "masse",
        "dimension",
        "dimensions",
        "dim",
        "abmessung",
        "abmessungen",
        "gr??e",
        "gr?e",
        "groesse",
        "gr??en",
        "taille",
        "tailles",
        "misura",
        "misure",
        "medida",
        "medidas",
        "maat",
        "maten",
        "afmeting",
        "afmetingen",
        "measure",
        "measures",
        "unit",
        "units",
        "einheit",
        "all",
        "alle",
        "in",
        "en",
        "x",
        "y",
        "and",
        "und",
    ];
    WORDS.contains(&fold(word).as_str())
}

/// A heading in small letters, with one `?` for what is outside ASCII: `Höhe` is found in whatever a spreadsheet of another
/// system or a wrong encoding has made of its `ö`.
pub(super) fn fold(heading: &str) -> String {
    let mut folded = String::with_capacity(heading.len());
    for letter in heading.chars() {
        if letter.is_ascii() {
            folded.push(letter.to_ascii_lowercase());
        } else if !folded.ends_with('?') {
            folded.push('?');
        }
    }
    folded
}

/// The words of a heading: `louvre_mm` are two.
pub(super) fn words_of(heading: &str) -> impl Iterator<Item = &str> {
    heading.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_known_in_the_languages_of_suppliers_and_whatever_became_of_their_letters() {
        for (heading, column) in [
            ("Breite", Column::Width),
            ("Fensterbreite [mm]", Column::Width),
            ("Largeur (cm)", Column::Width),
            ("Anchura", Column::Width),
            ("Breedte", Column::Width),
            ("Larghezza", Column::Width),
            ("Höhe", Column::Height),
            ("HÖHE", Column::Height),
            ("Ho\u{308}he", Column::Height),
            ("H\u{fffd}he", Column::Height),
            ("HÃ¶he", Column::Height),
            ("H”he", Column::Height),
            ("Hauteur", Column::Height),
            ("Altura", Column::Height),
            ("Altezza", Column::Height),
            ("Hoogte", Column::Height),
            ("Prijs incl. btw", Column::Price),
            ("Prezzi", Column::Price),
            ("Precio", Column::Price),
            ("Prix TTC", Column::Price),
        ] {
            assert_eq!(Column::of(heading), Some(column), "{heading}");
        }
        assert_eq!(Column::of("louvre_mm"), None);
        assert!(is_other_size("Länge (mm)") && is_other_size("Projection") && !is_other_size("louvre_mm"));
    }
}
