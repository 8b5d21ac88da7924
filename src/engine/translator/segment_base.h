#pragma once

namespace mynah::translator {

// Makes GS:0 this address on the calling thread. Nothing else in a 64-bit Linux process uses GS.
void set_gs_base(const void* address);

}  // namespace mynah::translator
