#include "paravirt/virtio/fs/virtio_fs.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {
namespace {

// What a request asks for, looked at before it is taken apart; the server reads it anew and decides
// by what it reads.
uint32_t peek_opcode(const SliceList& request) {
    SliceList copy = request;
    fuse_in_header header{};
    (void)copy.take_front(std::as_writable_bytes(std::span(&header, 1)));
    return header.opcode;
}

}  // namespace

VirtioFs::VirtioFs(FuseServer& server, Executor& slow, const std::string& tag)
    : server_(server), slow_(slow) {
    CHECK(tag.size() <= virtio::fs::kTagBytes);
    std::copy(tag.begin(), tag.end(), config_.tag);
    config_.request_queues = 1;
}

uint32_t VirtioFs::device_id() const { return virtio::kDeviceFs; }

void VirtioFs::read_config(uint64_t offset, std::span<std::byte> to) const {
    read_config_bytes(config_, offset, to);
}

void VirtioFs::serve(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        if (!FuseServer::waits(peek_opcode(chain.readable))) {
            answer(queue, chain);
            continue;
        }
        auto waiting = std::make_shared<DescriptorChain>(chain);
        slow_.post([this, &queue, waiting] { answer(queue, *waiting); });
    }
}

void VirtioFs::answer(VirtioQueue& queue, DescriptorChain& chain) {
    const uint32_t written = server_.handle(chain.readable, chain.writable);
    queue.wrote(chain.writable);
    queue.give_back(chain.head, written);
}

}  // namespace mynah
