#include "machine/boards/hot_slots_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::set_log_level(mynah::LogLevel::kError);
    mynah::testing::fuzz_hot_slots({data, size});
    return 0;
}
