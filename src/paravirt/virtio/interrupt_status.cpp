#include "paravirt/virtio/interrupt_status.h"

namespace mynah {

void InterruptStatus::raise(uint32_t bits) {
    const uint32_t before = bits_.fetch_or(bits, std::memory_order_acq_rel);
    // Where a bit was set, whoever set it has raised the line or is about to.
    if (before == 0) update_line();
}

void InterruptStatus::acknowledge(uint32_t bits) {
    const uint32_t before = bits_.fetch_and(~bits, std::memory_order_acq_rel);
    if (before != 0 && (before & ~bits) == 0) update_line();
}

// The last to come here sees the last state.
void InterruptStatus::update_line() {
    MutexLock lock(line_mutex_);
    line_.set(bits() != 0);
}

}  // namespace mynah
