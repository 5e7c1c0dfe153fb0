//! The join: three witnesses become one verdict per object, windows and counts. pure
