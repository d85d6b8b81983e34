//! Joins the reporter traits of the libraries to the bars.
