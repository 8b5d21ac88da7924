#pragma once

#include "paravirt/virtio/virtio_queue.h"

namespace mynah {

// Serves a queue of commands, each of which is answered by one byte behind what the driver sent
// [virtio-1.2 5.1.6.5]. `answer`: uint8_t(SliceList& command).
template <typename Answer>
void serve_control_queue(VirtioQueue& queue, Answer&& answer) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        if (chain.writable.empty()) {
            queue.reject();  // nowhere to put an answer
            return;
        }
        const auto status = static_cast<std::byte>(answer(chain.readable));
        chain.writable.fill(std::span(&status, 1));
        queue.wrote(chain.writable);
        queue.give_back(chain.head, 1);
    }
}

}  // namespace mynah
