#include "engine/translator/segment_base.h"

#include <asm/hwcap2.h>
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

namespace mynah::translator {
namespace {

// Whether the kernel lets user mode execute WRGSBASE.
const bool kHasInstruction = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;

}  // namespace

void set_gs_base(const void* address) {
    if (kHasInstruction) {
        asm volatile("wrgsbase %0" : : "r"(address));
    } else {
        CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, address) == 0);
    }
}

}  // namespace mynah::translator
