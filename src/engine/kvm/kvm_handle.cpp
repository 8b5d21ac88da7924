#include "engine/kvm/kvm_handle.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/kvm.h>

#include <cstring>

namespace mynah::kvm {

Result<int> Handle::request(std::string_view name, unsigned long number,
                            uintptr_t argument) const {
    const int result = ask(number, argument);
    if (result < 0) return Error(fmt::format("{}: {}", name, std::strerror(-result)));
    return result;
}

Result<Handle> open_device(SystemCalls& calls) {
    const int fd = calls.open("/dev/kvm", O_RDWR);
    if (fd < 0) return Error(fmt::format("/dev/kvm: {}", std::strerror(-fd)));
    Handle device(calls, fd);
    const int version = TRY(device.request("KVM_GET_API_VERSION", KVM_GET_API_VERSION, uintptr_t{0}));
    if (version != KVM_API_VERSION) {
        return Error(fmt::format("/dev/kvm speaks version {} of its interface; expected {}", version,
                                 KVM_API_VERSION));
    }
    return device;
}

int extension(const Handle& handle, long capability) {
    const int result = handle.ask(KVM_CHECK_EXTENSION, static_cast<uintptr_t>(capability));
    return result < 0 ? 0 : result;
}

}  // namespace mynah::kvm
