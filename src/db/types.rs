//! Instants, ids and the domain's plain values as SQL values.

use crate::domain::ids::{
    AuditId, ChoiceId, DraftOrderId, JobId, KeyId, MatrixId, OptionGroupId, ProductId, RequestId, SessionId,
    ShopDomain, StoreId,
};
use crate::domain::length::{Length, Unit};
use crate::domain::matrix::OutOfRange;
use crate::domain::money::{Currency, Minor};
use crate::domain::name::Name;
use crate::domain::options::Requirement;
use crate::domain::tax_label::TaxLabel;
use crate::languages::Language;
use chrono::{DateTime, Utc};
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

/// An instant as the database holds it: INTEGER Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub DateTime<Utc>);

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.timestamp_millis()))
    }
}

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let millis = value.as_i64()?;
        DateTime::from_timestamp_millis(millis).map(Self).ok_or(FromSqlError::OutOfRange(millis))
    }
}

/// Values that are written to the database as the text they are shown as, and read from it.
macro_rules! text_sql {
    ($($id:ty),+ $(,)?) => {$(
        impl rusqlite::ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(rusqlite::types::ToSqlOutput::from(self.to_string()))
            }
        }

        impl rusqlite::types::FromSql for $id {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                value.as_str()?.parse().map_err(rusqlite::types::FromSqlError::other)
            }
        }
    )+};
}

pub(crate) use text_sql;

text_sql!(AuditId, ChoiceId, DraftOrderId, JobId, KeyId, MatrixId, OptionGroupId, ProductId, RequestId, SessionId);
text_sql!(ShopDomain, StoreId);
text_sql!(Currency, Language, Name, OutOfRange, Requirement, TaxLabel, Unit);

/// INTEGER thousandths.
impl ToSql for Length {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.thousandths()))
    }
}

impl FromSql for Length {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_thousandths(value.as_i64()?).map_err(FromSqlError::other)
    }
}

/// INTEGER minor units.
impl ToSql for Minor {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.get()))
    }
}

impl FromSql for Minor {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self::new(value.as_i64()?))
    }
}
