//! Enums whose variants have one text each: in the database, in commands and in every output.

/// The text is not a value of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", listed(.0))]
pub struct UnknownText(pub(crate) &'static [&'static str]);

fn listed(texts: &[&str]) -> String {
    match texts {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// An enum with a text for each variant, which it is written as and read from.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// All of them, in the order of their definition.
            $vis const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// Its text.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::text_enum::UnknownText;

            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                const TEXTS: &[&str] = &[$($text),+];
                let found = Self::ALL.into_iter().find(|found| found.as_str() == text);
                found.ok_or($crate::domain::text_enum::UnknownText(TEXTS))
            }
        }
    };
}

pub(crate) use text_enum;

#[cfg(test)]
mod tests {
    text_enum! {
        /// For this test.
        enum Direction {
            North = "north",
            South = "south",
            UpAndAway = "up-and-away",
        }
    }

    #[test]
    fn each_variant_is_read_from_the_text_that_it_is_written_as_and_no_other_is() {
        for direction in Direction::ALL {
            assert_eq!(direction.to_string().parse(), Ok(direction));
        }
        assert_eq!(Direction::ALL.map(Direction::as_str), ["north", "south", "up-and-away"]);
        for text in ["", "North", " north", "east"] {
            let error = text.parse::<Direction>().expect_err(text);
            assert_eq!(error.to_string(), "must be north, south or up-and-away");
        }
    }
}
