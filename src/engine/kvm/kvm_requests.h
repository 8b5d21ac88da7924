#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <array>
#include <cstdint>

namespace mynah::kvm {

// Structures that end in an array, and their requests: as C++ reads linux/kvm.h they are too large,
// because its empty structures have a size, and a request's number has its structure's size in it.

struct CpuidHeader {
    uint32_t entries, padding;  // kvm_cpuid_entry2 follow
};
struct OneMsr {
    uint32_t count = 1, padding = 0;
    kvm_msr_entry entry{};
};
inline constexpr unsigned kXsaveBytes = 4096;

inline constexpr unsigned long kGetSupportedCpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, 8),
                               kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, 8),
                               kGetMsrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, 8),
                               kSetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, 8),
                               kSetGsiRouting = _IOC(_IOC_WRITE, KVMIO, 0x6a, 8),
                               kGetXsave = _IOC(_IOC_READ, KVMIO, 0xa4, kXsaveBytes),
                               kSetXsave = _IOC(_IOC_WRITE, KVMIO, 0xa5, kXsaveBytes);

}  // namespace mynah::kvm
