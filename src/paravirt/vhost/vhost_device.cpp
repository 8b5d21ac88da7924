#include "paravirt/vhost/vhost_device.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/bits.h"
#include "spec/virtio/device.h"

namespace mynah {

namespace {

// A piece is at most so long, as a descriptor counts in 32 bits.
constexpr uint64_t kLongestPiece = uint64_t{1} << 31;
// How long chains may take that come back soon, in all queues of a device together.
constexpr std::chrono::nanoseconds kDrain = std::chrono::seconds(5);

}  // namespace

VhostDevice::VhostDevice(std::unique_ptr<VhostLink> link, GuestMemory& memory, const Shape& shape)
    : memory_(memory),
      shape_(shape),
      // Behind everything that a descriptor of the guest's can name.
      rings_address_(align_up(memory.file_size(), uint64_t{1} << 30)),
      link_(std::move(link)) {}

VhostDevice::~VhostDevice() { end(); }

Result<void> VhostDevice::begin() {
    const uint64_t each = DriverRing::memory_size(shape_.queue_size);
    auto memory = SharedMemory::create("vhost-user-rings", each * shape_.rings);
    if (!memory) return Error(fmt::format("{}{}", link_->origin(), memory.error().message()));
    rings_memory_ = memory.take_value();
    for (uint16_t i = 0; i < shape_.rings; ++i) {
        auto ring = std::make_unique<Ring>();
        MutexLock hold(ring->mutex);
        ring->shared = std::make_unique<DriverRing>(rings_memory_->bytes().subspan(i * each, each),
                                                    rings_address_ + i * each, shape_.queue_size);
        ring->out.resize(shape_.queue_size);
        rings_.push_back(std::move(ring));
    }
    {
        MutexLock control(control_);
        client_ = link_->take_client();
        backend_features_ = client_->features();
        runs_as_one_ = client_->runs_as_one();
        connected_ = true;
    }
    VhostLinkEvents& events = *this;
    link_->start(events);
    return {};
}

void VhostDevice::end() {
    if (link_) link_->stop();
}

void VhostDevice::tell_config_changed() {
    MutexLock hold(events_mutex_);
    if (events_ != nullptr) events_->configuration_changed();
}

void VhostDevice::connect(VirtioDeviceEvents* events) {
    MutexLock hold(events_mutex_);
    events_ = events;
}

// --- what the driver does ---

void VhostDevice::negotiated(uint64_t features) {
    MutexLock control(control_);
    features_ = features;
    introduced_ = false;
    halted_ = false;
}

void VhostDevice::reset() {
    MutexLock control(control_);
    features_ = 0;
    if (client_ && introduced_) {
        const auto done = client_->reset();
        if (!done) give_up(done.error());
    }
    introduced_ = false;
    halted_ = false;
}

void VhostDevice::serve(VirtioQueue& queue) {
    if (is_local(queue.index())) {
        serve_local(queue);
        return;
    }
    Ring& ring = *rings_[queue.index()];
    if (!ring.started.load(std::memory_order_acquire) || halted_.load(std::memory_order_relaxed)) {
        start(queue, ring);
    }
    if (take_chains(queue, ring)) link_->kick(queue.index());
}

// The first bell of a queue, or the one that the session rings when it is started.
void VhostDevice::start(VirtioQueue& queue, Ring& ring) {
    const bool others = start_in_turn(queue, ring);
    for (uint16_t i = 0; others && i < rings_.size(); ++i) {
        if (i != queue.index()) resume(i);
    }
}

// True: other rings, too, which had to stop with one.
bool VhostDevice::start_in_turn(VirtioQueue& queue, Ring& ring) {
    MutexLock control(control_);
    if ((ring.started && !halted_) || !queue.running()) return false;
    const bool others = halted_.exchange(false);
    drain_left_ = kDrain;
    {
        MutexLock hold(ring.mutex);
        ring.queue = &queue;
    }
    if (client_) {
        Result<void> done = introduced_ ? Result<void>() : introduce(*client_);
        if (done) done = start_in_backend(queue.index());
        for (uint16_t i = 0; done && others && i < rings_.size(); ++i) {
            if (i != queue.index() && rings_[i]->started) done = start_in_backend(i);
        }
        if (!done) give_up(done.error());
    }
    ring.started.store(true, std::memory_order_release);
    return others;
}

// Tells a back end what was negotiated and where memory is.
Result<void> VhostDevice::introduce(VhostClient& client) {
    using namespace virtio;
    const uint64_t device_bits = for_backend(features_) & client.features();
    uint64_t bits = client.features() & (kFeatureVersion1 | kFeatureIndirectDesc);
    if (log_ && client.keeps_log()) bits |= vhost_user::kFeatureLogAll;
    const bool has_status = client.has_status();
    constexpr uint8_t kChosen = kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk;
    agreed_bits_ = device_bits | (bits & ~vhost_user::kFeatureLogAll);
    TRY(client.set_features(device_bits | bits));
    if (has_status) {
        TRY(client.set_status(kChosen));
        if ((TRY(client.get_status()) & kStatusFeaturesOk) == 0)
            return Error("the back end refuses the features that were chosen");
    }
    std::vector<VhostRegion> regions;
    for (const GuestMemory::Piece& piece : memory_.pieces()) {
        regions.push_back(
            {piece.fd, piece.fd_offset, piece.offset, memory_.at_offset(piece.offset), piece.size});
    }
    regions.push_back({rings_memory_->fd(), 0, rings_address_, rings_memory_->bytes().data(),
                       rings_memory_->bytes().size()});
    TRY(client.set_memory(regions));
    if ((bits & vhost_user::kFeatureLogAll) != 0) TRY(client.set_log(*log_));
    TRY(prepare(client));
    for (uint16_t i = 0; client.runs_as_one() && i < rings_.size(); ++i) TRY(tell_ring(client, i));
    // Else before the first ring, as some begin with no ring until it is said.
    if (has_status) TRY(client.set_status(kChosen | kStatusDriverOk));
    introduced_ = true;
    return {};
}

Result<void> VhostDevice::tell_ring(VhostClient& client, uint16_t index) {
    Ring& ring = *rings_[index];
    VhostRing description;
    {
        MutexLock hold(ring.mutex);
        ring.shared->restart((client.features() & virtio::kFeatureIndirectDesc) != 0);
        description = {.size = ring.shared->entries(),
                       .base = 0,
                       .descriptors = ring.shared->descriptors(),
                       .available = ring.shared->available(),
                       .used = ring.shared->used(),
                       .kick = link_->kick_fd(index),
                       .call = link_->call_fd(index)};
    }
    TRY(client.start_ring(index, description));
    return client.enable_ring(index, on_at_start(index));
}

// What waits is passed on by who called.
Result<void> VhostDevice::start_in_backend(uint16_t index) {
    if (!client_->runs_as_one()) TRY(tell_ring(*client_, index));
    Ring& ring = *rings_[index];
    MutexLock hold(ring.mutex);
    ring.live = true;
    return {};
}

// One ring stops, and with it all of a device that runs as one: the others go on at the next bell
// of any of them. What they had done is left in `done`.
void VhostDevice::stop_in_backend(uint16_t index, std::vector<Done>& done) {
    if (!client_->runs_as_one()) {
        const auto stopped = client_->stop_ring(index);
        if (!stopped) give_up(stopped.error());
        return;
    }
    const auto stopped = client_->stop_device();
    if (!stopped) give_up(stopped.error());
    introduced_ = false;
    for (auto& ring : rings_) {
        MutexLock hold(ring->mutex);
        if (!std::exchange(ring->live, false)) continue;
        collect(*ring, done.emplace_back());
        take_back(*ring);
        halted_ = true;
    }
}

// Passes on, and rings for, what waits in rings that have just been started.
void VhostDevice::resume(uint16_t index) {
    bool kick = false;
    uint32_t impossible = 0;
    VirtioQueue* queue = nullptr;
    {
        MutexLock hold(rings_[index]->mutex);
        queue = rings_[index]->queue;
        kick = pass_on(*rings_[index], impossible);
    }
    if (kick) link_->kick(index);
    if (queue != nullptr) reject(*queue, impossible);
}

Result<void> VhostDevice::log_writes(bool on) {
    MutexLock control(control_);
    if (!on) {
        log_.reset();
    } else if (!log_) {
        log_ = TRY(VhostLog::create(rings_address_ + rings_memory_->bytes().size()));
    }
    if (!client_ || !introduced_ || !client_->keeps_log()) return {};
    if (log_) TRY(client_->set_log(*log_));
    return client_->set_features(agreed_bits_ | (log_ ? vhost_user::kFeatureLogAll : 0));
}

void VhostDevice::collect_writes() {
    MutexLock control(control_);
    if (!log_) return;
    log_->collect([&](GuestPhys page) {
        // By the addresses that back ends know: places in the file. Their own rings are of no
        // interest.
        if (page.value < memory_.file_size())
            memory_.watch().wrote(memory_.at_offset(page.value), VhostLog::kLogPage);
    });
}

// The link's thread notices that the connection ended.
void VhostDevice::give_up(const Error& why) {
    if (complaints_.allow()) log(LogLevel::kWarning, "{}: {}", link_->name(), why.message());
    client_->shut();
}

void VhostDevice::enable_ring(uint16_t queue, bool on) {
    MutexLock control(control_);
    if (!client_ || !rings_[queue]->started) return;
    const auto done = client_->enable_ring(queue, on);
    if (!done) give_up(done.error());
}

void VhostDevice::send_config(uint32_t offset, std::span<const std::byte> from) {
    MutexLock control(control_);
    if (!client_ || !client_->has_config()) return;
    const auto done = client_->set_config(offset, from);
    if (!done) give_up(done.error());
}

// Waits until nothing is out; returns what is left of the time.
std::chrono::nanoseconds VhostDevice::drain(Ring& ring, std::chrono::nanoseconds limit) {
    MutexLock hold(ring.mutex);
    const auto until = std::chrono::steady_clock::now() + limit;
    while (ring.live && ring.out_count + ring.waiting.size() > 0) {
        if (ring.idle.wait_until(ring.mutex, until) == std::cv_status::timeout) break;
    }
    return std::max(std::chrono::nanoseconds::zero(), until - std::chrono::steady_clock::now());
}

void VhostDevice::stopping(VirtioQueue& queue) {
    if (is_local(queue.index())) return;
    Ring& ring = *rings_[queue.index()];
    std::chrono::nanoseconds left_to_drain{};
    {
        // A start() that saw the queue running is over then, and no other begins: it was halted.
        MutexLock control(control_);
        if (!ring.started) return;
        left_to_drain = drain_left_;
    }
    if (shape_.completes_soon) {
        left_to_drain = drain(ring, left_to_drain);
        for (auto& other : rings_) {
            if (runs_as_one_) left_to_drain = drain(*other, left_to_drain);
        }
    }
    std::vector<Done> finished;
    uint32_t left = 0;
    {
        MutexLock control(control_);
        drain_left_ = left_to_drain;
        left = stop_in_turn(ring, queue.index(), finished);
    }
    for (Done& done : finished) hand_over(done);
    queue.abandon(left);
}

// Returns how many chains come back unserved.
uint32_t VhostDevice::stop_in_turn(Ring& ring, uint16_t index, std::vector<Done>& finished) {
    bool live = false;
    {
        MutexLock hold(ring.mutex);
        // Nothing more is passed on, nor collected but below.
        live = std::exchange(ring.live, false);
    }
    if (live && client_) stop_in_backend(index, finished);
    MutexLock hold(ring.mutex);
    collect(ring, finished.emplace_back());
    take_back(ring);
    const auto left = static_cast<uint32_t>(ring.waiting.size());
    ring.waiting.clear();
    ring.started = false;
    return left;
}

// --- chains to the back end ---

std::unique_ptr<VhostDevice::Chain> VhostDevice::new_chain(Ring& ring) {
    if (ring.spares.empty()) return std::make_unique<Chain>();
    std::unique_ptr<Chain> chain = std::move(ring.spares.back());
    ring.spares.pop_back();
    return chain;
}

// The chain as the back end is told of it; false: it has more pieces than any that a driver may
// make.
bool VhostDevice::describe(Chain& chain) const {
    chain.pieces.clear();
    const auto append = [&](const SliceList& list, bool writable) {
        for (Slice slice : list.slices()) {
            while (!slice.empty()) {
                const size_t size = std::min<uint64_t>(slice.size(), kLongestPiece);
                chain.pieces.push_back(
                    {memory_.file_offset(slice.data()), static_cast<uint32_t>(size), writable});
                slice = slice.subspan(size);
            }
        }
    };
    append(chain.buffers.readable, false);
    append(chain.buffers.writable, true);
    return !chain.pieces.empty() &&
           chain.pieces.size() <= size_t{DriverRing::kPiecesPerEntry} * shape_.queue_size;
}

// True: the back end is to be rung.
bool VhostDevice::take_chains(VirtioQueue& queue, Ring& ring) {
    bool rejected = false, kick = false;
    uint32_t impossible = 0;
    {
        MutexLock hold(ring.mutex);
        VirtioQueue::Batch batch = queue.open_batch();
        std::unique_ptr<Chain> chain = new_chain(ring);
        while (!rejected && queue.take(batch, chain->buffers)) {
            rejected = !describe(*chain);
            if (rejected) break;
            chain->order = ring.next_order++;
            ring.waiting.push_back(std::move(chain));
            chain = new_chain(ring);
        }
        ring.spares.push_back(std::move(chain));
        kick = pass_on(ring, impossible);
    }
    if (rejected) queue.reject();
    reject(queue, impossible);
    return kick;
}

// Which also breaks the ring, so that the driver resets the device: nothing else would tell it that
// these requests are lost.
void VhostDevice::reject(VirtioQueue& queue, uint32_t chains) {
    for (; chains > 0; --chains) queue.reject();
}

bool VhostDevice::pass_on(Ring& ring, uint32_t& impossible) {
    bool added = false;
    while (ring.live && !ring.waiting.empty()) {
        std::unique_ptr<Chain>& chain = ring.waiting.front();
        // Longer than the ring, for a back end without indirect descriptors: it never will fit.
        if (!ring.shared->possible(chain->pieces.size())) {
            if (complaints_.allow())
                log(LogLevel::kWarning, "{}: a request has too many pieces for the back end",
                    link_->name());
            ring.spares.push_back(std::move(chain));
            ring.waiting.pop_front();
            ++impossible;
            continue;
        }
        if (!ring.shared->fits(chain->pieces.size())) break;
        const uint16_t head = ring.shared->add(chain->pieces);
        ring.out[head] = std::move(chain);
        ring.waiting.pop_front();
        ++ring.out_count;
        added = true;
    }
    return added && ring.shared->wants_kick();
}

// --- chains from the back end ---

void VhostDevice::collect(Ring& ring, Done& done) {
    done.queue = ring.queue;
    done.used.clear();
    while (const auto element = ring.shared->take_used()) {
        std::unique_ptr<Chain> chain = std::move(ring.out[element->id]);
        --ring.out_count;
        const uint64_t room = chain->buffers.writable.size();
        // All that it could write to, whatever it says it wrote.
        if (room > 0) ring.queue->wrote(chain->buffers.writable);
        done.used.push_back({chain->buffers.head,
                             static_cast<uint32_t>(std::min<uint64_t>(element->length, room))});
        ring.spares.push_back(std::move(chain));
    }
    done.broken = ring.shared->broken();
}

void VhostDevice::hand_over(Done& done) {
    if (done.queue != nullptr && !done.used.empty()) done.queue->give_back_all(done.used);
}

// What is out waits again, in the order in which it came.
void VhostDevice::take_back(Ring& ring) {
    for (auto& chain : ring.out) {
        if (chain) ring.waiting.push_back(std::move(chain));
    }
    ring.out_count = 0;
    std::sort(ring.waiting.begin(), ring.waiting.end(),
              [](const auto& a, const auto& b) { return a->order < b->order; });
}

void VhostDevice::called(uint16_t queue) {
    Ring& ring = *rings_[queue];
    bool kick = false;
    uint32_t impossible = 0;
    {
        MutexLock hold(ring.mutex);
        if (!ring.live) return;
        collect(ring, done_);
        kick = pass_on(ring, impossible);
        if (ring.out_count == 0) ring.idle.notify_all();
    }
    if (kick) link_->kick(queue);
    hand_over(done_);
    reject(*done_.queue, impossible);
    if (!done_.broken) return;
    MutexLock control(control_);
    if (client_) give_up(Error("the back end broke the rules of a ring"));
}

// --- the back end comes and goes ---

void VhostDevice::config_changed() {
    {
        MutexLock control(control_);
        if (!client_) return;
        const auto loaded = load_config(*client_);
        if (!loaded) {
            give_up(loaded.error());
            return;
        }
    }
    tell_config_changed();
}

void VhostDevice::lost() {
    {
        MutexLock control(control_);
        client_.reset();
        introduced_ = false;
        connected_ = false;
    }
    for (auto& ring : rings_) {
        {
            MutexLock hold(ring->mutex);
            if (!ring->live) continue;
            // What it had done before it went is done.
            collect(*ring, done_);
            take_back(*ring);
            ring->live = false;
            ring->idle.notify_all();
        }
        hand_over(done_);
    }
    connection_changed();
}

Result<void> VhostDevice::found(std::unique_ptr<VhostClient> client) {
    {
        MutexLock control(control_);
        constexpr uint64_t kDeviceBits = low_mask(24) | ~low_mask(50);
        // Also what no driver has accepted yet: it stays on offer.
        const uint64_t missing = features() & kDeviceBits & backend_features_ & ~client->features();
        if (missing != 0) {
            return Error(
                fmt::format("the new back end lacks features {:#x} that the guest has", missing));
        }
        TRY(load_config(*client));
        client_ = std::move(client);
        const auto resume = [&]() REQUIRES(control_) -> Result<void> {
            for (uint16_t i = 0; i < rings_.size(); ++i) {
                if (!rings_[i]->started) continue;
                if (!introduced_) TRY(introduce(*client_));
                TRY(start_in_backend(i));
            }
            halted_ = false;
            return {};
        };
        const auto resumed = resume();
        if (!resumed) {
            client_.reset();
            introduced_ = false;
            for (auto& ring : rings_) {
                MutexLock hold(ring->mutex);
                ring->live = false;
                take_back(*ring);
            }
            return resumed.error();
        }
        connected_ = true;
    }
    for (uint16_t i = 0; i < rings_.size(); ++i) resume(i);
    connection_changed();
    tell_config_changed();
    return {};
}

}  // namespace mynah
