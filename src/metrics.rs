//! The metric families: one table, one collector over the report, and counters of our own work. pure
