#include "paravirt/virtio/virtio_entropy.h"

#include <algorithm>

#include "spec/virtio/device.h"

namespace mynah {

uint32_t VirtioEntropy::device_id() const { return virtio::kDeviceEntropy; }

void VirtioEntropy::read_config(uint64_t, std::span<std::byte> to) const {
    std::fill(to.begin(), to.end(), std::byte{0});
}

void VirtioEntropy::serve(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        // Readable buffers do not belong here [virtio-1.2 5.4.6.1] and are of no use.
        const uint32_t written = fill(chain.writable);
        queue.wrote(chain.writable);
        queue.give_back(chain.head, written);
    }
}

uint32_t VirtioEntropy::fill(const SliceList& buffers) {
    uint64_t done = 0;
    for (Slice slice : buffers.slices()) {
        slice = slice.first(std::min<uint64_t>(slice.size(), kMaxFill - done));
        while (!slice.empty()) {
            const size_t got = source_.fill(slice);
            if (got == 0) return static_cast<uint32_t>(done);
            slice = slice.subspan(got);
            done += got;
        }
        if (done == kMaxFill) break;
    }
    return static_cast<uint32_t>(done);
}

}  // namespace mynah
