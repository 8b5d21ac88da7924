#include "paravirt/kvm/pv_eoi.h"

#include "spec/kvm/paravirt.h"

namespace mynah {

// Only its own processor, which is not executing now, touches the byte: plain stores do.
bool PvEoi::offer() { return where_ && memory_.store(*where_, kvm_guest::kEoiPending); }

bool PvEoi::withdraw() {
    if (!where_) return false;
    const auto flag = memory_.load<uint8_t>(*where_);
    if (!flag) return false;  // the memory is gone: the guest must end it by its register
    if ((*flag & kvm_guest::kEoiPending) == 0) {
        ++ended_;
        return true;
    }
    (void)memory_.store(*where_, uint8_t{0});
    return false;
}

}  // namespace mynah
