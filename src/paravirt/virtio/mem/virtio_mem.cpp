#include "paravirt/virtio/mem/virtio_mem.h"

#include <algorithm>

#include "base/check.h"
#include "memory/discard.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::mem;

namespace {

// A driver can use memory only in larger pieces than blocks, so it gets room to choose: two
// sections of Linux' memory model.
constexpr uint64_t kExtent = uint64_t{256} << 20;

}  // namespace

VirtioMem::VirtioMem(GuestMemory& memory, const GuestMemory::Range& region, uint64_t block_size,
                     uint64_t requested)
    : memory_(memory),
      region_(region),
      block_size_(block_size),
      plugged_(region.size / block_size),
      requested_size_(std::min(requested - requested % block_size, region.size)) {
    CHECK(block_size >= kPageSize && (block_size & (block_size - 1)) == 0);
    CHECK(region.start.value % block_size == 0 && region.size % block_size == 0);
    MutexLock lock(mutex_);
    choose_usable(true);
}

uint32_t VirtioMem::device_id() const { return virtio::kDeviceMem; }

void VirtioMem::choose_usable(bool may_shrink) {
    const uint64_t wanted = std::min(requested_size_ + kExtent, region_.size);
    usable_size_ = may_shrink ? wanted : std::max(usable_size_, wanted);
}

void VirtioMem::read_config(uint64_t offset, std::span<std::byte> to) const {
    MutexLock lock(mutex_);
    Config config{};
    config.block_size = block_size_;
    config.address = region_.start.value;
    config.region_size = region_.size;
    config.usable_region_size = usable_size_;
    config.plugged_size = plugged_size_;
    config.requested_size = requested_size_;
    read_config_bytes(config, offset, to);
}

void VirtioMem::serve(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        Request request{};
        if (chain.writable.size() < sizeof(Response) ||
            !chain.readable.take_front(std::as_writable_bytes(std::span(&request, 1)))) {
            queue.reject();
            return;
        }
        Response response{};
        {
            MutexLock lock(mutex_);
            response = handle(request);
        }
        const uint64_t size = chain.writable.fill(std::as_bytes(std::span(&response, 1)));
        queue.wrote(chain.writable);
        queue.give_back(chain.head, static_cast<uint32_t>(size));
    }
}

// [virtio-1.2 5.15.6]
Response VirtioMem::handle(const Request& request) {
    Response response{};
    const auto type = static_cast<RequestType>(request.type);
    Blocks blocks{};
    auto answer = ResponseType::kError;
    if (type == RequestType::kUnplugAll) {
        answer = unplug_all();
    } else if (find(request, blocks)) {
        const uint64_t plugged = plugged_among(blocks);
        switch (type) {
            case RequestType::kPlug:
                if (plugged == 0) answer = plug(blocks);
                break;
            case RequestType::kUnplug:
                if (plugged == blocks.count) answer = unplug(blocks);
                break;
            case RequestType::kState:
                answer = ResponseType::kAck;
                response.state = static_cast<uint16_t>(plugged == blocks.count ? State::kPlugged
                                                       : plugged == 0          ? State::kUnplugged
                                                                               : State::kMixed);
                break;
            case RequestType::kUnplugAll:
                break;
        }
    }
    response.type = static_cast<uint16_t>(answer);
    return response;
}

bool VirtioMem::find(const Request& request, Blocks& blocks) const {
    const uint64_t start = region_.start.value;
    if (request.blocks == 0 || request.address < start || request.address % block_size_ != 0)
        return false;
    const uint64_t offset = request.address - start, size = request.blocks * block_size_;
    if (offset > usable_size_ || size > usable_size_ - offset) return false;
    blocks = {offset / block_size_, request.blocks};
    return true;
}

uint64_t VirtioMem::plugged_among(const Blocks& blocks) const {
    const auto first = plugged_.begin() + static_cast<ptrdiff_t>(blocks.first);
    return static_cast<uint64_t>(
        std::count(first, first + static_cast<ptrdiff_t>(blocks.count), true));
}

VirtioMem::ResponseType VirtioMem::plug(const Blocks& blocks) {
    const uint64_t size = blocks.count * block_size_;
    if (plugged_size_ + size > requested_size_) return ResponseType::kNack;
    const auto first = plugged_.begin() + static_cast<ptrdiff_t>(blocks.first);
    std::fill_n(first, blocks.count, true);
    plugged_size_ += size;
    return ResponseType::kAck;
}

VirtioMem::ResponseType VirtioMem::unplug(const Blocks& blocks) {
    const uint64_t size = blocks.count * block_size_;
    if (!discard_memory(memory_, region_.start + blocks.first * block_size_, size))
        return ResponseType::kBusy;
    const auto first = plugged_.begin() + static_cast<ptrdiff_t>(blocks.first);
    std::fill_n(first, blocks.count, false);
    plugged_size_ -= size;
    return ResponseType::kAck;
}

VirtioMem::ResponseType VirtioMem::unplug_all() {
    // Blocks that were never plugged may have been written to.
    if (!discard_memory(memory_, region_.start, region_.size)) return ResponseType::kBusy;
    std::fill(plugged_.begin(), plugged_.end(), false);
    plugged_size_ = 0;
    choose_usable(true);
    return ResponseType::kAck;
}

VirtioMem::Sizes VirtioMem::sizes() const {
    MutexLock lock(mutex_);
    return {region_.size, block_size_, requested_size_, plugged_size_, region_.start};
}

bool VirtioMem::request(uint64_t bytes) {
    {
        MutexLock lock(mutex_);
        if (bytes % block_size_ != 0 || bytes > region_.size) return false;
        requested_size_ = bytes;
        choose_usable(false);
    }
    if (VirtioDeviceEvents* const events = events_) events->configuration_changed();
    return true;
}

void VirtioMem::machine_reset() {
    MutexLock lock(mutex_);
    unplug_all();
}

}  // namespace mynah
