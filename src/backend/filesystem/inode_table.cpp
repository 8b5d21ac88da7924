#include "backend/filesystem/inode_table.h"

#include <algorithm>

namespace mynah {

void InodeTable::set_root(Fd fd, const struct stat& status) {
    MutexLock lock(mutex_);
    auto root = std::make_shared<HostInode>();
    root->id = kRoot;
    root->fd = std::move(fd);
    root->type = status.st_mode & S_IFMT;
    const Identity identity{status.st_dev, status.st_ino};
    entries_[kRoot] = {std::move(root), identity, 1};
    by_identity_[identity] = kRoot;
}

std::shared_ptr<HostInode> InodeTable::find(uint64_t id) const {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    return found == entries_.end() ? nullptr : found->second.inode;
}

std::shared_ptr<HostInode> InodeTable::looked_up(Fd fd, const struct stat& status) {
    MutexLock lock(mutex_);
    const Identity identity{status.st_dev, status.st_ino};
    // While it is held open its number belongs to no other file.
    if (const auto known = by_identity_.find(identity); known != by_identity_.end()) {
        Entry& entry = entries_[known->second];
        ++entry.lookups;
        return entry.inode;
    }
    if (entries_.size() > most_) return nullptr;
    auto inode = std::make_shared<HostInode>();
    inode->id = ++last_;
    inode->fd = std::move(fd);
    inode->type = status.st_mode & S_IFMT;
    by_identity_[identity] = inode->id;
    entries_[inode->id] = {inode, identity, 1};
    return inode;
}

void InodeTable::forget(uint64_t id, uint64_t lookups) {
    if (id == kRoot) return;
    std::shared_ptr<HostInode> gone;  // closed without the lock
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    found->second.lookups -= std::min(found->second.lookups, lookups);
    if (found->second.lookups > 0) return;
    gone = std::move(found->second.inode);
    by_identity_.erase(found->second.identity);
    entries_.erase(found);
}

void InodeTable::clear() {
    MutexLock lock(mutex_);
    std::erase_if(entries_, [](const auto& each) { return each.first != kRoot; });
    std::erase_if(by_identity_, [](const auto& each) { return each.second != kRoot; });
}

size_t InodeTable::size() const {
    MutexLock lock(mutex_);
    return entries_.size();
}

}  // namespace mynah
