#include "paravirt/vhost/vhost_client_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::fuzz_vhost_client({data, size});
    return 0;
}
