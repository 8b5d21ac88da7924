#include <fmt/core.h>

#include "machine/machine.h"
#include "paravirt/virtio/mem/virtio_mem.h"

// What a machine's operator asks of memory that is plugged while it runs.
namespace mynah {

std::optional<Machine::PluggableMemory> Machine::pluggable_memory() const {
    const VirtioMem* const mem = virtio_->pluggable_memory();
    if (mem == nullptr) return std::nullopt;
    const VirtioMem::Sizes sizes = mem->sizes();
    return PluggableMemory{config_.devices.pluggable_memory->id,
                           sizes.start.value,
                           sizes.region,
                           sizes.block,
                           sizes.requested,
                           sizes.plugged};
}

Result<void> Machine::request_memory(uint64_t bytes) {
    VirtioMem* const mem = virtio_->pluggable_memory();
    if (mem == nullptr) return Error("the machine has no virtio-mem; expected --memdev virtio-mem");
    if (mem->request(bytes)) return {};
    const VirtioMem::Sizes sizes = mem->sizes();
    return Error(fmt::format("requested-size {}: expected whole blocks of {} bytes, at most {}",
                             bytes, sizes.block, sizes.region));
}

}  // namespace mynah
