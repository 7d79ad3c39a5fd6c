//! Tests of the paging floor.
