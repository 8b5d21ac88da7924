#include "paravirt/kvm/paravirt_kvm_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::fuzz_paravirt_kvm(data, size);
    return 0;
}
