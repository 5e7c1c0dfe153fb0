//! Selection over small worlds. pure
