#include "engine/kvm/kvm_bells.h"

#include <linux/kvm.h>

namespace mynah::kvm {

Bells::Bells(const Handle& vm)
    : vm_(vm),
      there_(extension(vm, KVM_CAP_IOEVENTFD) != 0),
      any_length_(extension(vm, KVM_CAP_IOEVENTFD_ANY_LENGTH) != 0) {}

int Bells::tell(const Engine::BellPlace& place, int event_fd, uint32_t flags) const {
    kvm_ioeventfd bell{};
    bell.addr = place.address;
    bell.len = place.size;
    bell.fd = event_fd;
    bell.datamatch = place.value.value_or(0);
    bell.flags = flags | (place.port ? unsigned{KVM_IOEVENTFD_FLAG_PIO} : 0u) |
                 (place.value ? unsigned{KVM_IOEVENTFD_FLAG_DATAMATCH} : 0u);
    return vm_.ask(KVM_IOEVENTFD, &bell);
}

bool Bells::add(const Engine::BellPlace& place, int event_fd) {
    if (!there_ || (place.size == 0 && (!any_length_ || place.value))) return false;
    if (tell(place, event_fd, 0) < 0) return false;
    count_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void Bells::remove(const Engine::BellPlace& place, int event_fd) {
    if (tell(place, event_fd, KVM_IOEVENTFD_FLAG_DEASSIGN) < 0) return;
    count_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace mynah::kvm
