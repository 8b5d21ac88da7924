#include "paravirt/vhost/vdpa_server_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::fuzz_vdpa_server({data, size});
    return 0;
}
