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

void InterruptStatus::update_line() {
    if (updates_.fetch_add(1, std::memory_order_acq_rel) != 0) return;
    uint32_t seen = 1;
    // Ends when no update came while the line was being set.
    do {
        seen = updates_.load(std::memory_order_acquire);
        line_.set(bits() != 0);
    } while (!updates_.compare_exchange_strong(seen, 0, std::memory_order_acq_rel));
}

}  // namespace mynah
