#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hongyan_fuzz::http::run(data));
