// Memory as handlers see it: segmentation, the slow paths behind the TLB, MMIO.

#include <algorithm>

#include "engine/interpreter/block_cache.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/debug.h"

namespace mynah::interpreter {

using x86::Segment;
namespace attr = x86::segment_attribute;

namespace {

// Whether bytes [offset, offset+size) are within the segment [SDM 3A 5.3].
bool within_limit(const SegmentRegister& segment, uint64_t offset, unsigned size) {
    const uint64_t last = offset + size - 1;
    const bool expand_down = (segment.attributes & (attr::kCode | attr::kConformingOrExpandDown)) ==
                             attr::kConformingOrExpandDown;
    if (!expand_down) return last <= segment.limit;
    const uint64_t top = segment.default_big() ? 0xffffffff : 0xffff;
    return offset > segment.limit && last <= top;
}

// Whether the segment's type allows the access [SDM 3A 5.5, 5.8.1].
bool type_allows(const SegmentRegister& segment, AccessKind kind) {
    const bool code = (segment.attributes & attr::kCode) != 0;
    const bool flag = (segment.attributes & attr::kReadableOrWritable) != 0;
    switch (kind) {
        case AccessKind::kRead:
            return !code || flag;
        case AccessKind::kWrite:
            return !code && flag;
        case AccessKind::kExecute:
            return code;
    }
    return false;
}

}  // namespace

bool Core::segment_linear(Segment which, uint64_t offset, unsigned size, AccessKind kind,
                          uint64_t& linear) {
    const auto refuse = [&] {
        return raised(which == Segment::kSs ? Exception::ss() : Exception::gp());
    };
    if (mode.code_size == CodeSize::k64) {
        linear = segment_base_[static_cast<unsigned>(which)] + offset;
        if (!canonical(linear) || !canonical(linear + size - 1)) return refuse();
        return true;
    }
    const SegmentRegister& segment = s.segment(which);
    if (!segment.usable()) return refuse();
    if (mode.protected_mode && !type_allows(segment, kind)) return refuse();
    if (!within_limit(segment, offset, size)) return refuse();
    linear = (segment.base + offset) & 0xffffffff;
    return true;
}

// Checks that do not depend on the page: canonical addresses, alignment, data breakpoints.
bool Core::check_access(uint64_t linear, unsigned size, AccessKind kind) {
    if (mode.code_size == CodeSize::k64 && (!canonical(linear) || !canonical(linear + size - 1))) {
        fault = Exception::gp();
        fault.address = kNonCanonicalMark;
        return false;
    }
    if (alignment_check_ && size <= 8 && (linear & (size - 1)) != 0) return raised(Exception::ac());
    if (data_breakpoints_) pending_debug |= data_breakpoint_hits(s, linear, size, kind);
    return true;
}

// Implicit accesses are supervisor ones that AC does not lift SMAP for.
SoftTlb::Set Core::set_of(AccessMode access_mode) const {
    if (access_mode == AccessMode::kUser) return SoftTlb::kUser;
    const bool smap_off = access_mode == AccessMode::kSupervisor &&
                          (s.cr4 & x86::cr4::kSmap) != 0 && s.flags.has(x86::rflags::kAc);
    return smap_off ? SoftTlb::kSupervisorSmapOff : SoftTlb::kSupervisor;
}

bool Core::resolve(uint64_t linear, AccessKind kind, AccessMode access_mode, Piece& piece) {
    if (write_log_ != nullptr) write_log_->before_walk();
    auto result = mmu.translate(s, linear, kind, access_mode);
    if (write_log_ != nullptr) write_log_->after_walk();
    if (const Exception* exception = std::get_if<Exception>(&result)) return raised(*exception);
    const Translation& found = std::get<Translation>(result);
    piece.physical = found.page + (linear & kPageMask);
    const auto memory = shared.memory.find(found.page, kPageSize, s.memory_view());
    const bool seen = memory && (memory->writable || kind != AccessKind::kWrite);
    piece.host = seen ? memory->host + (linear & kPageMask) : nullptr;
    if (!memory) return true;

    std::byte* const page = memory->host;
    const auto host_page = reinterpret_cast<uintptr_t>(page);
    // Execution does not depend on AC: it has the supervisor's table.
    const SoftTlb::Set set = kind == AccessKind::kExecute && access_mode != AccessMode::kUser
                                 ? SoftTlb::kSupervisor
                                 : set_of(access_mode);
    const bool other_rights = kind == AccessKind::kExecute && set == SoftTlb::kSupervisor &&
                              found.user && (s.cr4 & x86::cr4::kSmap) != 0;
    const bool logged =
        write_log_ == nullptr || write_log_->admits(page, kind == AccessKind::kWrite);
    const bool writable =
        found.writable && memory->writable && !other_rights && logged && !is_code_page(host_page);
    tlb_.fill(set, {.linear = linear,
                    .host = host_page,
                    .readable = found.readable && !other_rights,
                    .writable = writable,
                    .executable = found.executable,
                    .global = found.global,
                    .page_shift = found.page_shift});
    if (write_log_ != nullptr && writable)
        write_log_->note_entry(page, tlb_.slot(set, linear), SoftTlb::index(linear));
    return true;
}

bool Core::resolve_range(uint64_t linear, unsigned size, AccessKind kind, AccessMode access_mode,
                         Piece (&pieces)[2], unsigned& first_size) {
    first_size = static_cast<unsigned>(std::min<uint64_t>(size, kPageSize - (linear & kPageMask)));
    if (!resolve(linear, kind, access_mode, pieces[0])) return false;
    if (first_size == size) return true;
    uint64_t second = linear + first_size;
    // Compatibility mode reaches 64-bit stacks and tables when an event is delivered.
    if (!s.long_mode()) second &= 0xffffffff;
    return resolve(second, kind, access_mode, pieces[1]);
}

void Core::read_piece(const Piece& piece, void* to, unsigned size) {
    if (piece.host != nullptr) {
        // Single moves for single values: other vCPUs must never see or leave half of one.
        switch (size) {
            case 2:
                store_unaligned(to, load_unaligned<uint16_t>(piece.host));
                return;
            case 4:
                store_unaligned(to, load_unaligned<uint32_t>(piece.host));
                return;
            case 8:
                store_unaligned(to, load_unaligned<uint64_t>(piece.host));
                return;
            default:
                std::memcpy(to, piece.host, size);
                return;
        }
    }
    auto* bytes = static_cast<std::byte*>(to);
    GuestPhys at = piece.physical;
    while (size > 0) {
        unsigned chunk = 8;
        while (chunk > size || (at.value & (chunk - 1)) != 0) chunk /= 2;
        const uint64_t value = ports.mmio_read(at, chunk);
        std::memcpy(bytes, &value, chunk);
        bytes += chunk;
        at = at + chunk;
        size -= chunk;
    }
}

void Core::write_piece(const Piece& piece, const void* from, unsigned size) {
    if (piece.host != nullptr) {
        switch (size) {
            case 2:
                store_unaligned(piece.host, load_unaligned<uint16_t>(from));
                break;
            case 4:
                store_unaligned(piece.host, load_unaligned<uint32_t>(from));
                break;
            case 8:
                store_unaligned(piece.host, load_unaligned<uint64_t>(from));
                break;
            default:
                std::memcpy(piece.host, from, size);
                break;
        }
        note_code_write(reinterpret_cast<uintptr_t>(piece.host), size);
        return;
    }
    const auto* bytes = static_cast<const std::byte*>(from);
    GuestPhys at = piece.physical;
    while (size > 0) {
        unsigned chunk = 8;
        while (chunk > size || (at.value & (chunk - 1)) != 0) chunk /= 2;
        uint64_t value = 0;
        std::memcpy(&value, bytes, chunk);
        ports.mmio_write(at, chunk, value);
        bytes += chunk;
        at = at + chunk;
        size -= chunk;
    }
    // The write may have switched what the next instruction sees (flash, shadowed ROM).
    if ((signals_.pending() & CpuSignals::kMemoryMap) != 0) take_map_change();
}

bool Core::is_code_page(uintptr_t host) const {
    const WriteWatch& watch = shared.memory.watch();
    return blocks_->is_code_page(host) ||
           (watch.any() && watch.watched(watch.page_of(reinterpret_cast<const void*>(host))));
}

// Whoever keeps translations of the bytes is told.
// A page that code was run of, and that is now written to again and again, is data: let the TLB
// have it, until code of it is run again.
void Core::note_data_page(uintptr_t host) {
    constexpr unsigned kEnough = 4;
    const uintptr_t page = host & ~kPageMask;
    if (!blocks_->is_code_page(page)) return;
    if (running_ != nullptr && (running_->host & ~kPageMask) == page) return;
    if (page != written_page_) {
        written_page_ = page;
        writes_ = 0;
    }
    if (++writes_ >= kEnough) blocks_->unmark_code_page(page);
}

// A store to the very block that is being run: what follows in it is void. Its ops are replaced
// by ones that leave the block, and it is forgotten.
void Core::note_code_write(uintptr_t host, unsigned size) {
    shared.memory.watch().wrote(reinterpret_cast<const void*>(host), size);
    note_data_page(host);
    if (running_ == nullptr || running_discarded_) return;
    if (host >= running_->host + running_->byte_count || host + size <= running_->host) return;
    running_discarded_ = true;
    for (unsigned i = 0; i <= running_->op_count; ++i) running_->ops[i].handler = end_of_block;
}

bool Core::load_slow(uint64_t linear, void* to, unsigned size) {
    if (!check_access(linear, size, AccessKind::kRead)) return false;
    Piece pieces[2];
    unsigned first = 0;
    if (!resolve_range(linear, size, AccessKind::kRead, access_mode_, pieces, first)) return false;
    read_piece(pieces[0], to, first);
    if (first < size) read_piece(pieces[1], static_cast<std::byte*>(to) + first, size - first);
    return true;
}

bool Core::store_slow(uint64_t linear, const void* from, unsigned size) {
    if (!check_access(linear, size, AccessKind::kWrite)) return false;
    Piece pieces[2];
    unsigned first = 0;
    if (!resolve_range(linear, size, AccessKind::kWrite, access_mode_, pieces, first)) return false;
    write_piece(pieces[0], from, first);
    if (first < size)
        write_piece(pieces[1], static_cast<const std::byte*>(from) + first, size - first);
    return true;
}

bool Core::probe_store(uint64_t linear, unsigned size) {
    if ((linear ^ slot(linear).write_tag) <= kPageSize - size) return true;
    if (!check_access(linear, size, AccessKind::kWrite)) return false;
    Piece pieces[2];
    unsigned first = 0;
    return resolve_range(linear, size, AccessKind::kWrite, access_mode_, pieces, first);
}

void* Core::host_for_modify_slow(uint64_t linear, unsigned size, bool& faulted) {
    faulted = true;
    if (!check_access(linear, size, AccessKind::kWrite)) return nullptr;
    if (data_breakpoints_)
        pending_debug |= data_breakpoint_hits(s, linear, size, AccessKind::kRead);
    Piece pieces[2];
    unsigned first = 0;
    if (!resolve_range(linear, size, AccessKind::kWrite, access_mode_, pieces, first))
        return nullptr;
    faulted = false;
    if (first < size || pieces[0].host == nullptr) return nullptr;
    note_code_write(reinterpret_cast<uintptr_t>(pieces[0].host), size);
    return pieces[0].host;
}

const void* Core::host_for_read(uint64_t linear, unsigned size, bool& faulted) {
    const SoftTlb::Entry& entry = slot(linear);
    if (const uint64_t offset = linear ^ entry.read_tag; offset <= kPageSize - size) {
        return reinterpret_cast<const void*>(entry.host + offset);
    }
    faulted = true;
    if (!check_access(linear, size, AccessKind::kRead)) return nullptr;
    Piece pieces[2];
    unsigned first = 0;
    if (!resolve_range(linear, size, AccessKind::kRead, access_mode_, pieces, first))
        return nullptr;
    faulted = false;
    return first < size ? nullptr : pieces[0].host;
}

bool Core::access_as(AccessMode access_mode, uint64_t linear, void* data, unsigned size,
                     AccessKind kind) {
    if (s.long_mode() && (!canonical(linear) || !canonical(linear + size - 1))) {
        return raised(Exception::gp());
    }
    auto* bytes = static_cast<std::byte*>(data);
    // Events and returns come by here several times each.
    const SoftTlb::Entry& entry = tlb_.slot(set_of(access_mode), linear);
    const bool writes = kind == AccessKind::kWrite;
    const uint64_t offset = linear ^ (writes ? entry.write_tag : entry.read_tag);
    if (offset <= kPageSize - size) {
        auto* host = reinterpret_cast<std::byte*>(entry.host + offset);
        const Piece piece{.host = host};
        if (writes) {
            write_piece(piece, bytes, size);
        } else {
            read_piece(piece, bytes, size);
        }
        return true;
    }
    Piece pieces[2];
    unsigned first = 0;
    if (!resolve_range(linear, size, kind, access_mode, pieces, first)) return false;
    if (kind == AccessKind::kWrite) {
        write_piece(pieces[0], bytes, first);
        if (first < size) write_piece(pieces[1], bytes + first, size - first);
    } else {
        read_piece(pieces[0], bytes, first);
        if (first < size) read_piece(pieces[1], bytes + first, size - first);
    }
    return true;
}

bool Core::probe_as(AccessMode access_mode, uint64_t linear, unsigned size) {
    if (s.long_mode() && (!canonical(linear) || !canonical(linear + size - 1))) {
        return raised(Exception::gp());
    }
    Piece pieces[2];
    unsigned first = 0;
    return resolve_range(linear, size, AccessKind::kWrite, access_mode, pieces, first);
}

}  // namespace mynah::interpreter
