#include "paravirt/vhost/vdpa_client_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::fuzz_vdpa_client({data, size});
    return 0;
}
